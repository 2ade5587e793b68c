// Package optim updates parameters from their gradients: AdamW, the global
// gradient norm, and moving averages of weights.
//
// State is keyed by parameter name, so it survives rebuilt graphs and is saved
// beside the model. Results do not depend on the number of processors.
package optim
