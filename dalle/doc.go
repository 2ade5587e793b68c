// Package dalle draws images from texts as DALL·E does (arXiv:2102.12092): one
// transformer reads the tokens of a text, then predicts those of an image, one
// after another, which a VQ-VAE turns into pixels.
package dalle
