// Package gpt2 is the language model GPT-2 (Radford et al. 2019), a pre-norm
// transformer decoder with learned positions and a head tied to the token
// embedding: its published checkpoints, and text generation with cached keys
// and values.
package gpt2
