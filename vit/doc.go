// Package vit is the Vision Transformer (arXiv:2010.11929): images are cut into
// patches, patches become tokens, and a pre-norm transformer classifies them.
//
// Configurations and parameter names are those of Hugging Face's
// ViTForImageClassification.
package vit
