package kernel

import "math"

// Moments writes the mean of each channel of x (b, c, s) in two parts, whose
// sum keeps the precision where it is far larger than the deviation, and the
// variance, divided by the number of elements. stats is (3, c).
func Moments[T Float](stats, x []T, b, c, s int) {
	Chunks(c, 2*b*s, func(lo, hi int) {
		for ch := lo; ch < hi; ch++ {
			var mean, square float64
			for i := range b {
				mean += sumRun(x[(i*c+ch)*s:][:s])
			}
			mean /= float64(b * s)
			for i := range b {
				for _, v := range x[(i*c+ch)*s:][:s] {
					d := float64(v) - mean
					square += d * d
				}
			}
			stats[ch] = T(mean)
			stats[c+ch] = T(mean - float64(T(mean)))
			stats[2*c+ch] = T(square / float64(b*s))
		}
	})
}

// BatchNorm computes weight·(x − mean)/√(variance + eps) + bias for each
// channel of x (b, c, s), given stats (3, c) as Moments writes them.
func BatchNorm[T Float](y, x, weight, bias, stats []T, eps float64, b, c, s int) {
	Chunks(c, b*s, func(lo, hi int) {
		for ch := lo; ch < hi; ch++ {
			mean := float64(stats[ch]) + float64(stats[c+ch])
			scale := float64(weight[ch]) / math.Sqrt(float64(stats[2*c+ch])+eps)
			shift := float64(bias[ch])
			for i := range b {
				to := y[(i*c+ch)*s:][:s]
				for j, v := range x[(i*c+ch)*s:][:s] {
					to[j] = T((float64(v)-mean)*scale + shift)
				}
			}
		}
	})
}

// BatchNormBackward computes the gradients of BatchNorm. fixed tells that stats
// do not depend on x.
func BatchNormBackward[T Float](dx, dweight, dbias, x, weight, stats, dy []T, fixed bool, eps float64, b, c, s int) {
	Chunks(c, 3*b*s, func(lo, hi int) {
		for ch := lo; ch < hi; ch++ {
			mean := float64(stats[ch]) + float64(stats[c+ch])
			rstd := 1 / math.Sqrt(float64(stats[2*c+ch])+eps)
			var sum, dot float64 // of dy, and with the normalized x
			for i := range b {
				from := x[(i*c+ch)*s:][:s]
				for j, g := range dy[(i*c+ch)*s:][:s] {
					sum += float64(g)
					dot += float64(g) * (float64(from[j]) - mean)
				}
			}
			dot *= rstd
			dweight[ch], dbias[ch] = T(dot), T(sum)
			// dx = weight·rstd·(dy − ⟨dy⟩ − x̂⟨dy·x̂⟩)
			n := float64(b * s)
			if fixed {
				n = math.Inf(1)
			}
			scale, shift, slope := float64(weight[ch])*rstd, sum/n, dot/n*rstd
			for i := range b {
				from, to := x[(i*c+ch)*s:][:s], dx[(i*c+ch)*s:][:s]
				for j, g := range dy[(i*c+ch)*s:][:s] {
					to[j] = T(scale * (float64(g) - shift - slope*(float64(from[j])-mean)))
				}
			}
		}
	})
}
