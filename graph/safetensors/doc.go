// Package safetensors reads and writes the tensors of checkpoints in the
// safetensors format (https://github.com/huggingface/safetensors): a length, a
// JSON header of names, types, shapes and offsets, and the data.
//
// The reader is lazy and strict: opening reads and checks headers, tensors are
// read when asked for, and whatever the format forbids is an error that names
// the file and the tensor. The writer replaces a file whole or not at all and
// gives equal bytes for equal tensors.
package safetensors
