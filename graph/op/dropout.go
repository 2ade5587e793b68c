package op

import (
	"github.com/pkg/errors"
	G "gorgonia.org/gorgonia"

	"tessera/graph/kernel"
)

// Noise is the source of a program's random numbers. Operations keep a pointer
// to it and read it on every run: equal seeds and steps give equal noise, on
// any number of cores.
type Noise struct{ Seed, Step uint64 }

// key selects the numbers of one operation.
func (n *Noise) key(stream uint64) kernel.Key { return kernel.NewKey(n.Seed, n.Step, stream) }

// Dropout sets elements of x to 0 with probability p and divides the others by
// 1 − p, 0 ≤ p < 1. With p = 0 it gives x itself. Operations of one noise
// should differ in stream.
func Dropout(x *G.Node, p float64, noise *Noise, stream uint64) (*G.Node, error) {
	if err := checkDropout(p, noise); err != nil || p == 0 {
		return x, err
	}
	f := compute{dropout[float32](p, noise, stream), dropout[float64](p, noise, stream)}
	return unary("dropout", x, f, func(_, _, grad *G.Node) (*G.Node, error) {
		return elementwise("dropout.backward", f, grad)
	})
}

// DropPath is Dropout of whole examples along the first axis of x: stochastic
// depth (arXiv:1603.09382), when x is the branch beside a residual connection.
func DropPath(x *G.Node, p float64, noise *Noise, stream uint64) (*G.Node, error) {
	if err := checkDropout(p, noise); err != nil || p == 0 {
		return x, err
	}
	s := x.Shape()
	if s.Dims() == 0 {
		return nil, errors.New("a scalar has no examples")
	}
	n := 1
	for _, d := range s[1:] {
		n *= d
	}
	f := compute{dropPath[float32](n, p, noise, stream), dropPath[float64](n, p, noise, stream)}
	return unary("drop_path", x, f, func(_, _, grad *G.Node) (*G.Node, error) {
		return elementwise("drop_path.backward", f, grad)
	})
}

func checkDropout(p float64, noise *Noise) error {
	if !(p >= 0 && p < 1) {
		return errors.Errorf("dropout of %v, want at least 0 and less than 1", p)
	}
	if p > 0 && noise == nil {
		return errors.New("dropout without a source of noise")
	}
	return nil
}

func dropout[T kernel.Float](p float64, noise *Noise, stream uint64) func(out, in [][]T) {
	return func(out, in [][]T) { kernel.Dropout(out[0], in[0], p, noise.key(stream)) }
}

func dropPath[T kernel.Float](n int, p float64, noise *Noise, stream uint64) func(out, in [][]T) {
	return func(out, in [][]T) { kernel.DropPath(out[0], in[0], n, p, noise.key(stream)) }
}
