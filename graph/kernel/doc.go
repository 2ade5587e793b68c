// Package kernel computes what operations are made of: plain functions over
// row-major slices, without graphs, tensors or allocation of results.
//
// Work is divided by the shape of the problem alone, never by the number of
// cores, so that results have the same bytes on every machine and for every
// GOMAXPROCS.
package kernel

// Float is the element type of a graph.
type Float interface{ float32 | float64 }
