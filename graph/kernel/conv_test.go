package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// naiveConv visits every product y[yi] += x[xi]·w[wi] of a convolution.
func naiveConv(k Conv, visit func(yi, xi, wi int)) {
	for b := range k.B {
		for o := range k.O {
			for p := range k.OH * k.OW {
				for c := range k.C {
					for q := range k.KH * k.KW {
						h := p/k.OW*k.Stride + q/k.KW - k.Pad
						w := p%k.OW*k.Stride + q%k.KW - k.Pad
						if h >= 0 && h < k.H && w >= 0 && w < k.W {
							visit((b*k.O+o)*k.OH*k.OW+p, ((b*k.C+c)*k.H+h)*k.W+w, (o*k.C+c)*k.KH*k.KW+q)
						}
					}
				}
			}
		}
	}
}

func TestConvolve(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 1))
	for _, k := range []Conv{
		NewConv(1, 1, 1, 1, 1, 1, 1, 1, 0),
		NewConv(0, 2, 4, 4, 3, 2, 2, 1, 0),
		NewConv(2, 0, 4, 4, 3, 2, 2, 1, 1),
		NewConv(2, 3, 4, 4, 0, 2, 2, 1, 1),
		NewConv(2, 3, 5, 7, 4, 3, 2, 1, 1),
		NewConv(3, 2, 9, 6, 5, 4, 4, 2, 1),
		NewConv(2, 2, 8, 8, 3, 4, 4, 4, 0),
		NewConv(1, 2, 3, 3, 2, 5, 5, 2, 3), // windows that see nothing but padding on a side
		NewConv(1, 1, 2, 9, 2, 1, 2, 3, 4),
		NewConv(1, 30, 40, 33, 3, 3, 3, 1, 1),  // several strips
		NewConv(2, 70, 33, 31, 2, 4, 3, 2, 1),  // and blocks of channels
		NewConv(20, 1, 3, 3, 2, 3, 3, 1, 1),    // more examples than groups
		NewConv(1, 1, 300, 300, 1, 3, 3, 2, 0), // strips of one kind, a last one of another
		NewConv(2, 70, 60, 61, 5, 4, 4, 2, 1),
		NewConv(1, 65, 24, 23, 66, 3, 3, 1, 1), // taps not stacked
		NewConv(40, 2, 7, 7, 3, 3, 3, 1, 1),    // several images in a block
		NewConv(35, 3, 8, 6, 2, 4, 4, 2, 1),
		NewConv(3, 2, 9, 8, 3, 3, 5, 2, 1),  // windows that the stride does not divide
		NewConv(2, 3, 9, 11, 2, 2, 2, 3, 1), // pixels that no window sees
	} {
		name := fmt.Sprintf("%+v", k)
		images, filters, area := k.B*k.C*k.H*k.W, k.O*k.C*k.KH*k.KW, k.OH*k.OW
		x, w := randoms[float64](r, images), randoms[float64](r, filters)
		bias, back := randoms[float64](r, k.O), randoms[float64](r, k.C)
		dy := randoms[float64](r, k.B*k.O*area)
		y, dx, dw := make([]float64, len(dy)), make([]float64, images), make([]float64, filters)
		naiveConv(k, func(yi, xi, wi int) {
			y[yi] += x[xi] * w[wi]
			dx[xi] += dy[yi] * w[wi]
			dw[wi] += dy[yi] * x[xi]
		})

		got := garbage[float64](len(y))
		Convolve(got, x, w, nil, garbage[float64](k.Scratch()), k)
		same(t, name+" forward", got, y, 1e-12)
		got = garbage[float64](len(dx))
		ConvolveInput(got, dy, w, nil, garbage[float64](k.InputScratch()), k)
		same(t, name+" input", got, dx, 1e-12)
		got = garbage[float64](len(dw))
		ConvolveFilter(got, x, dy, garbage[float64](k.FilterScratch()), k)
		same(t, name+" filter", got, dw, 1e-12)

		for i := range y {
			y[i] += bias[i/area%k.O]
		}
		for i := range dx {
			dx[i] += back[i/(k.H*k.W)%k.C]
		}
		got = garbage[float64](len(y))
		Convolve(got, x, w, bias, garbage[float64](k.Scratch()), k)
		same(t, name+" forward with bias", got, y, 1e-12)
		got = garbage[float64](len(dx))
		ConvolveInput(got, dy, w, back, garbage[float64](k.InputScratch()), k)
		same(t, name+" input with bias", got, dx, 1e-12)
	}
}

func TestConvolveKeepsNaN(t *testing.T) {
	k := NewConv(1, 1, 3, 3, 1, 2, 2, 1, 0)
	x := []float32{1, 1, 1, 1, 1, 1, 1, 1, float32(math.NaN())}
	got := garbage[float32](4)
	Convolve(got, x, []float32{1, 1, 1, 1}, nil, garbage[float32](k.Scratch()), k)
	same(t, "y", got, []float64{4, 4, 4, math.NaN()}, 0)
}
