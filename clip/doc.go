// Package clip embeds images and texts in one space (arXiv:2103.00020): two
// transformers whose outputs, projected to unit length, are trained to agree on
// pairs and to disagree elsewhere.
//
// Parameters have the names of Hugging Face's CLIPModel; [Load] also reads the
// checkpoints of openai/CLIP and open_clip. Shapes use the alphabet of package
// layers, with E for the width of the common space and L for tokens of text.
package clip
