// Package graph builds expression graphs over parameters that outlive them and
// compiles them for Gorgonia's tape machine.
//
// A Scope names parameters and takes their values from a Source; a Builder adds
// operations and abandons the build at the first that cannot be; Compile turns
// the whole into a Program, with gradients where a loss was declared. Training,
// evaluation at another batch size and decoding are separate programs over the
// same parameters.
package graph
