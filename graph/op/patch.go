package op

import (
	"github.com/pkg/errors"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tessera/graph/kernel"
)

// Patches cuts images x (B, C, H, W) into squares of side p, row by row, giving
// (B, H/p·W/p, C·p·p). A patch lists its channels one after the other, so that
// a convolution's filters (D, C, p, p), seen as (D, C·p·p), apply to it as a
// linear layer. p divides H and W.
func Patches(x *G.Node, p int) (*G.Node, error) {
	s := x.Shape()
	if s.Dims() != 4 {
		return nil, errors.Errorf("images have shape %v, want (B, C, H, W)", s)
	}
	if p < 1 || s[2]%p != 0 || s[3]%p != 0 {
		return nil, errors.Errorf("patches of side %d do not divide images of %d×%d", p, s[2], s[3])
	}
	B, C, h, w := s[0], s[1], s[2]/p, s[3]/p
	cut := kernel.NewPermutation([]int{B, C, h, p, w, p}, []int{0, 2, 4, 1, 3, 5})
	join := kernel.NewPermutation([]int{B, h, w, C, p, p}, []int{0, 3, 1, 4, 2, 5})
	return apply(spec{
		name:    "patches",
		outputs: []tensor.Shape{{B, h * w, C * p * p}},
		forward: compute{permuted[float32](cut), permuted[float64](cut)},
		backward: func(_ G.Nodes, _, grad *G.Node, _ []bool) (G.Nodes, error) {
			return one(apply(spec{
				name:    "patches.backward",
				outputs: []tensor.Shape{s},
				forward: compute{permuted[float32](join), permuted[float64](join)},
			}, grad))
		},
	}, x)
}
