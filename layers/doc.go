// Package layers holds what models are built of: parameters plus Forward.
//
// Shapes use one alphabet: B batch, N tokens, M context tokens, D width, H
// heads, K head width, C channels, V vocabulary, S image side, P patch side.
// Parameter names are those of Hugging Face's CLIP; models with other names
// pass a scope with Rename.
package layers
