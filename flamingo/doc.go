// Package flamingo lets a frozen language model look at images
// (arXiv:2204.14198): a Perceiver resampler turns the patches of each image into
// a few latents, and gated cross-attention between the blocks of the language
// model reads them. Gates begin at 0, so training starts from the language
// model as it is. Names are those of open_flamingo.
//
// Shapes add to those of package layers: T images of a text, F frames of an
// image, E width of patches and latents.
package flamingo
