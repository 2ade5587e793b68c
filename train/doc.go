// Package train fits models: the loop, learning rates, checkpoints, evaluation
// and reports.
//
// What varies between runs is a field or a [Hook] of the [Trainer]. A run is a
// function of its fields: neither the clock nor the number of processors nor an
// interruption changes its result.
package train
