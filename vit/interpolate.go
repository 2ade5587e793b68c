package vit

import "math"

// interpolatePositions resizes the position embeddings (1, 1+from², D) of a
// square grid of patches to another grid by bicubic interpolation. The class
// token's stays as it is. Like transformers, and unlike timm, it does not
// smooth before it shrinks.
func interpolatePositions(table []float32, width, from, to int) []float32 {
	rows := taps(from, to)
	columns := rows // of a square
	out := make([]float32, width, width*(1+to*to))
	copy(out, table)
	grid := table[width:]
	sum := make([]float64, width)
	for _, r := range rows {
		for _, c := range columns {
			clear(sum)
			for i, y := range r.at {
				for j, x := range c.at {
					w := r.weight[i] * c.weight[j]
					for d, v := range grid[(y*from+x)*width:][:width] {
						sum[d] += w * float64(v)
					}
				}
			}
			for _, v := range sum {
				out = append(out, float32(v))
			}
		}
	}
	return out
}

// A tap is what one place of a resized line is made of.
type tap struct {
	at     [4]int
	weight [4]float64
}

// taps gives the taps of a line of n places resized to m, with centres of
// places aligned and places beyond the border equal to the border's.
func taps(n, m int) []tap {
	line := make([]tap, m)
	for i := range line {
		x := (float64(i)+0.5)*float64(n)/float64(m) - 0.5
		left := int(math.Floor(x))
		for k := range 4 {
			at := left - 1 + k
			line[i].at[k] = min(max(at, 0), n-1)
			line[i].weight[k] = cubic(x - float64(at))
		}
	}
	return line
}

// cubic is the convolution kernel of Keys (1981) with a = −0.75, as in
// PyTorch.
func cubic(x float64) float64 {
	const a = -0.75
	x = math.Abs(x)
	switch {
	case x <= 1:
		return ((a+2)*x-(a+3))*x*x + 1
	case x < 2:
		return ((a*x-5*a)*x+8*a)*x - 4*a
	}
	return 0
}
