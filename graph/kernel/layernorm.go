package kernel

import (
	"math"

	"tessera/graph/kernel/simd"
)

// LayerNorm writes (x − mean) rstd · weight + bias to y, by rows of n elements
// with their own mean and rstd = 1/√(variance + eps), which it writes too
// (arXiv:1607.06450). weight and bias (n) may both be nil.
func LayerNorm[T Float](y, mean, rstd, x, weight, bias []T, eps float64, n int) {
	Chunks(len(mean), n, func(lo, hi int) {
		if fast[T]() {
			simd.LayerNorm(singles(y[lo*n:hi*n]), singles(mean[lo:hi]), singles(rstd[lo:hi]), singles(x[lo*n:hi*n]), singles(weight), singles(bias), eps, n)
			return
		}
		for r := lo; r < hi; r++ {
			from, to := x[r*n:(r+1)*n], y[r*n:(r+1)*n]
			m := sumRun(from) / float64(n)
			var v0, v1 float64
			rest := from
			for len(rest) >= 2 {
				a, b := float64(rest[0])-m, float64(rest[1])-m
				v0 += a * a
				v1 += b * b
				rest = rest[2:]
			}
			for _, v := range rest {
				v0 += (float64(v) - m) * (float64(v) - m)
			}
			s := 1 / math.Sqrt((v0+v1)/float64(n)+eps)
			mean[r], rstd[r] = T(m), T(s)
			if weight == nil {
				for j, v := range from {
					to[j] = T((float64(v) - m) * s)
				}
				continue
			}
			w, b := weight[:len(from)], bias[:len(from)]
			for j, v := range from {
				to[j] = T((float64(v)-m)*s)*w[j] + b[j]
			}
		}
	})
}

// LayerNormBackward computes the gradients of LayerNorm's inputs. Any of dx,
// dweight and dbias may be nil, as may weight.
func LayerNormBackward[T Float](dx, dweight, dbias, x, weight, mean, rstd, dy []T, n int) {
	if fast[T]() {
		layerNormBackward32(singles(dx), singles(dweight), singles(dbias), singles(x), singles(weight), singles(mean), singles(rstd), singles(dy), n)
		return
	}
	if dx != nil {
		Chunks(len(mean), 6*n, func(lo, hi int) {
			for r := lo; r < hi; r++ {
				layerNormInput(dx[r*n:(r+1)*n], x[r*n:], weight, float64(mean[r]), float64(rstd[r]), dy[r*n:])
			}
		})
	}
	if dweight != nil || dbias != nil {
		layerNormAffine(dweight, dbias, x, mean, rstd, dy, n)
	}
}

// layerNormInput sets dx = rstd (g − mean of g − x̂ · mean of g x̂) for one row,
// where g = dy · weight and x̂ is the normalized row.
func layerNormInput[T Float](dx, x, weight []T, mean, rstd float64, dy []T) {
	x, dy = x[:len(dx)], dy[:len(dx)]
	if weight == nil {
		copy(dx, dy)
	} else {
		for j, w := range weight[:len(dx)] {
			dx[j] = dy[j] * w
		}
	}
	var g, gx float64
	for j, d := range dx {
		g += float64(d)
		gx += float64(d) * (float64(x[j]) - mean)
	}
	g /= float64(len(dx))
	gx *= rstd * rstd / float64(len(dx))
	for j, d := range dx {
		dx[j] = T(rstd * (float64(d) - g - (float64(x[j])-mean)*gx))
	}
}

// layerNormColumns is how many columns are summed side by side.
const layerNormColumns = 32

// layerNormAffine sums dy x̂ and dy over all rows.
func layerNormAffine[T Float](dweight, dbias, x, mean, rstd, dy []T, n int) {
	blocks := (n + layerNormColumns - 1) / layerNormColumns
	Chunks(blocks, 4*layerNormColumns*len(mean), func(lo, hi int) {
		for k := lo; k < hi; k++ {
			j0 := k * layerNormColumns
			width := min(layerNormColumns, n-j0)
			var dw, db [layerNormColumns]float64
			for r, m := range mean {
				m, s := float64(m), float64(rstd[r])
				from := x[r*n+j0:][:width]
				for j, d := range dy[r*n+j0:][:width] {
					j %= layerNormColumns
					dw[j] += float64(d) * (float64(from[j]) - m) * s
					db[j] += float64(d)
				}
			}
			for j := range width {
				if dweight != nil {
					dweight[j0+j] = T(dw[j])
				}
				if dbias != nil {
					dbias[j0+j] = T(db[j])
				}
			}
		}
	})
}
