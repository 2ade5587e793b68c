package op

import (
	"github.com/pkg/errors"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tessera/graph/kernel"
)

// ConvTranspose2D is the gradient of Conv2D with respect to its images: it
// spreads x (B, C, H, W) by filters w (C, O, KH, KW), giving (B, O,
// (H−1)·stride−2·padding+KH+outputPadding, and so for W). outputPadding, below
// stride, chooses among the sizes that Conv2D would take to H. bias (O) may be
// nil.
func ConvTranspose2D(x, w, bias *G.Node, stride, padding, outputPadding int) (*G.Node, error) {
	s, f := x.Shape(), w.Shape()
	if err := checkConv(s, f, bias, 0, 1, stride, padding); err != nil {
		return nil, err
	}
	if outputPadding < 0 || outputPadding >= stride {
		return nil, errors.Errorf("output padding %d is not in [0, stride %d)", outputPadding, stride)
	}
	h := (s[2]-1)*stride - 2*padding + f[2] + outputPadding
	wd := (s[3]-1)*stride - 2*padding + f[3] + outputPadding
	if s[2] < 1 || s[3] < 1 || h < 1 || wd < 1 {
		return nil, errors.Errorf("images of %d×%d with filters of %d×%d, stride %d and padding %d give %d×%d", s[2], s[3], f[2], f[3], stride, padding, h, wd)
	}
	// The convolution that takes the result to x.
	k := kernel.NewConv(s[0], f[1], h, wd, f[0], f[2], f[3], stride, padding)
	return apply(spec{
		name:    "conv_transpose2d",
		outputs: []tensor.Shape{{k.B, k.C, k.H, k.W}, scratch(k.InputScratch())},
		flops:   multiplyAdds(k.B, k.O, k.OH, k.OW, k.C, k.KH, k.KW),
		forward: compute{convolveTransposed[float32](k), convolveTransposed[float64](k)},
		backward: func(in G.Nodes, _, grad *G.Node, need []bool) (G.Nodes, error) {
			return gradient(in, need,
				func() (*G.Node, error) {
					return apply(spec{
						name:    "conv_transpose2d.dx",
						outputs: []tensor.Shape{s, scratch(k.Scratch())},
						forward: compute{convolve[float32](k), convolve[float64](k)},
					}, grad, in[1])
				},
				func() (*G.Node, error) { return convolveFilter("conv_transpose2d.dw", grad, in[0], k) },
				func() (*G.Node, error) { return channelSum(grad) })
		},
	}, args(x, w, bias)...)
}
