// Package vqvae is the vector-quantized variational autoencoder
// (arXiv:1711.00937): an encoder shrinks an image to a grid of vectors, each is
// replaced by a code of a codebook, and a decoder draws the image again. The
// numbers of the codes are the image's tokens.
package vqvae
