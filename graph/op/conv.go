package op

import (
	"github.com/pkg/errors"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tessera/graph/kernel"
)

// Conv2D slides filters w (O, C, KH, KW) over images x (B, C, H, W) padded with
// zeros, giving (B, O, ⌊(H+2·padding−KH)/stride⌋+1, and so for W). It
// correlates, as PyTorch does. bias (O) may be nil.
func Conv2D(x, w, bias *G.Node, stride, padding int) (*G.Node, error) {
	s, f := x.Shape(), w.Shape()
	if err := checkConv(s, f, bias, 1, 0, stride, padding); err != nil {
		return nil, err
	}
	if s[2]+2*padding < f[2] || s[3]+2*padding < f[3] {
		return nil, errors.Errorf("filters of %d×%d exceed images of %d×%d with padding %d", f[2], f[3], s[2], s[3], padding)
	}
	k := kernel.NewConv(s[0], s[1], s[2], s[3], f[0], f[2], f[3], stride, padding)
	return apply(spec{
		name:    "conv2d",
		outputs: []tensor.Shape{{k.B, k.O, k.OH, k.OW}, scratch(k.Scratch())},
		flops:   multiplyAdds(k.B, k.O, k.OH, k.OW, k.C, k.KH, k.KW),
		forward: compute{convolve[float32](k), convolve[float64](k)},
		backward: func(in G.Nodes, _, grad *G.Node, need []bool) (G.Nodes, error) {
			return gradient(in, need,
				func() (*G.Node, error) { return convolveInput("conv2d.dx", grad, in[1], k) },
				func() (*G.Node, error) { return convolveFilter("conv2d.dw", in[0], grad, k) },
				func() (*G.Node, error) { return channelSum(grad) })
		},
	}, args(x, w, bias)...)
}

// checkConv checks all but the extent of the windows. Images have the channels
// of axis in of the filters, the result and the bias those of axis out.
func checkConv(x, w tensor.Shape, bias *G.Node, in, out, stride, padding int) error {
	if x.Dims() != 4 {
		return errors.Errorf("images have shape %v, want (B, C, H, W)", x)
	}
	if w.Dims() != 4 || w[2] < 1 || w[3] < 1 {
		return errors.Errorf("filters have shape %v, want four sizes, the last two above 0", w)
	}
	if x[1] != w[in] {
		return errors.Errorf("images %v have %d channels, filters %v want %d", x, x[1], w, w[in])
	}
	if stride < 1 || padding < 0 {
		return errors.Errorf("stride %d and padding %d, want at least 1 and 0", stride, padding)
	}
	if bias != nil && (bias.Dims() != 1 || bias.Shape()[0] != w[out]) {
		return errors.Errorf("bias has shape %v, want (%d)", bias.Shape(), w[out])
	}
	return nil
}

// scratch is the shape of an output that only lends memory.
func scratch(n int) tensor.Shape { return tensor.Shape{max(1, n)} }

// args lists nodes up to the first nil.
func args(xs ...*G.Node) G.Nodes {
	for i, x := range xs {
		if x == nil {
			return xs[:i]
		}
	}
	return xs
}

// gradient calls the functions whose results are needed.
func gradient(in G.Nodes, need []bool, fs ...func() (*G.Node, error)) (G.Nodes, error) {
	ds := make(G.Nodes, len(in))
	for i := range in {
		if !need[i] {
			continue
		}
		d, err := fs[i]()
		if err != nil {
			return nil, err
		}
		ds[i] = d
	}
	return ds, nil
}

func convolve[T kernel.Float](k kernel.Conv) func(out, in [][]T) {
	return func(out, in [][]T) { kernel.Convolve(out[0], in[0], in[1], third(in), out[1], k) }
}

// third is the optional third input.
func third[T kernel.Float](in [][]T) []T {
	if len(in) < 3 {
		return nil
	}
	return in[2]
}

// convolveInput adds the gradient of the images of a convolution.
func convolveInput(name string, dy, w *G.Node, k kernel.Conv) (*G.Node, error) {
	return apply(spec{
		name:    name,
		outputs: []tensor.Shape{{k.B, k.C, k.H, k.W}, scratch(k.InputScratch())},
		forward: compute{convolveTransposed[float32](k), convolveTransposed[float64](k)},
	}, dy, w)
}

func convolveTransposed[T kernel.Float](k kernel.Conv) func(out, in [][]T) {
	return func(out, in [][]T) { kernel.ConvolveInput(out[0], in[0], in[1], third(in), out[1], k) }
}

// convolveFilter adds the gradient of the filters of a convolution.
func convolveFilter(name string, x, dy *G.Node, k kernel.Conv) (*G.Node, error) {
	return apply(spec{
		name:    name,
		outputs: []tensor.Shape{{k.O, k.C, k.KH, k.KW}, scratch(k.FilterScratch())},
		forward: compute{filtered[float32](k), filtered[float64](k)},
	}, x, dy)
}

func filtered[T kernel.Float](k kernel.Conv) func(out, in [][]T) {
	return func(out, in [][]T) { kernel.ConvolveFilter(out[0], in[0], in[1], out[1], k) }
}

// channelSum adds up x (B, C, H, W) for each channel.
func channelSum(x *G.Node) (*G.Node, error) { return Sum(x, false, 0, 2, 3) }
