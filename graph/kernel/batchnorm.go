package kernel

import (
	"math"

	"tessera/graph/kernel/simd"
)

// BatchNorms is batch normalization of arrays (B, C, S), followed by LeakyReLU.
type BatchNorms struct {
	B, C, S int
	Eps     float64 // added to the variance
	Slope   float64 // of LeakyReLU, 0 to 1; 1: without
}

// moments writes the mean of channel ch of x in two parts, whose sum keeps the
// precision where it is far larger than the deviation, and the variance, divided
// by the number of elements. stats is (3, C).
func moments[T Float](stats, x []T, k BatchNorms, ch int) {
	n := float64(k.B * k.S)
	var mean, sum, square float64
	for b := range k.B {
		mean += sumRun(x[(b*k.C+ch)*k.S:][:k.S])
	}
	mean /= n
	if fast[T]() {
		t := scratch32(min(k.S, normRun))
		k.runs(ch, func(at, to int) {
			d := (*t)[:to-at]
			simd.AddScalar(d, singles(x[at:to]), float32(-mean))
			sum += simd.Sum(d)
			square += simd.Dot(d, d)
		})
		free32(t)
		// About the rounded mean.
		shift := float64(float32(-mean))
		square -= sum * sum / n
		mean = sum/n - shift
	} else {
		for b := range k.B {
			for _, v := range x[(b*k.C+ch)*k.S:][:k.S] {
				d := float64(v) - mean
				square += d * d
			}
		}
	}
	stats[ch] = T(mean)
	stats[k.C+ch] = T(mean - float64(T(mean)))
	stats[2*k.C+ch] = T(max(0, square/n))
}

// normRun is how many elements are treated at once: they stay in the nearest
// cache from one step to the next.
const normRun = 2048

// runs calls f for every run [at, to) of channel ch.
func (k BatchNorms) runs(ch int, f func(at, to int)) {
	for b := range k.B {
		start := (b*k.C + ch) * k.S
		for lo := 0; lo < k.S; lo += normRun {
			f(start+lo, start+min(k.S, lo+normRun))
		}
	}
}

// BatchNorm computes weight·(x − mean)/√(variance + eps) + bias for each
// channel, rectified. stats (3, C) holds the mean in two parts and the variance;
// with measure, those of x are written first.
func BatchNorm[T Float](y, x, weight, bias, stats []T, k BatchNorms, measure bool) {
	Chunks(k.C, 2*k.B*k.S, func(lo, hi int) {
		for ch := lo; ch < hi; ch++ {
			if measure {
				moments(stats, x, k, ch)
			}
			mean := float64(stats[ch]) + float64(stats[k.C+ch])
			scale := float64(weight[ch]) / math.Sqrt(float64(stats[2*k.C+ch])+k.Eps)
			shift := float64(bias[ch])
			if fast[T]() {
				t := scratch32(min(k.S, normRun))
				k.runs(ch, func(at, to int) {
					affine(singles(y[at:to]), singles(x[at:to]), -mean, scale, shift)
					leak(singles(y[at:to]), *t, k.Slope)
				})
				free32(t)
				continue
			}
			k.runs(ch, func(at, to int) {
				out := y[at:to]
				for i, v := range x[at:to] {
					v := (float64(v)-mean)*scale + shift
					if !(v > 0) {
						v *= k.Slope
					}
					out[i] = T(v)
				}
			})
		}
	})
}

// affine sets y = (x + before)·scale + after.
func affine(y, x []float32, before, scale, after float64) {
	rounded := float32(before)
	simd.AddScalar(y, x, rounded)
	simd.Scale(y, y, float32(scale))
	simd.AddScalar(y, y, float32(after+(before-float64(rounded))*scale))
}

// leak applies LeakyReLU to y.
func leak(y, scratch []float32, slope float64) {
	if slope == 1 {
		return
	}
	t := scratch[:len(y)]
	simd.Activate(t, y, simd.ReLU)
	simd.Scale(y, y, float32(slope))
	simd.Axpy(y, t, float32(1-slope))
}

// BatchNormBackward computes the gradients of BatchNorm, whose result was y.
// fixed tells that stats do not depend on x.
func BatchNormBackward[T Float](dx, dweight, dbias, x, weight, stats, y, dy []T, k BatchNorms, fixed bool) {
	Chunks(k.C, 4*k.B*k.S, func(lo, hi int) {
		for ch := lo; ch < hi; ch++ {
			mean := float64(stats[ch]) + float64(stats[k.C+ch])
			rstd := 1 / math.Sqrt(float64(stats[2*k.C+ch])+k.Eps)
			t := scratch32(min(k.S, normRun))
			var sum, dot float64 // of dy before LeakyReLU, and with x − mean
			k.runs(ch, func(at, to int) {
				s, d := rectified(dx[at:to], x[at:to], y[at:to], dy[at:to], *t, mean, k.Slope)
				sum, dot = sum+s, dot+d
			})
			dot *= rstd
			dweight[ch], dbias[ch] = T(dot), T(sum)
			// dx = weight·rstd·(dy − ⟨dy⟩ − x̂⟨dy·x̂⟩)
			n := float64(k.B * k.S)
			if fixed {
				n = math.Inf(1)
			}
			scale, shift, slope := float64(weight[ch])*rstd, sum/n, dot/n*rstd
			k.runs(ch, func(at, to int) {
				out, from := dx[at:to], x[at:to]
				if fast[T]() {
					d := (*t)[:to-at]
					affine(d, singles(from), -mean, -scale*slope, -scale*shift)
					simd.Axpy(d, singles(out), float32(scale))
					copy(singles(out), d)
					return
				}
				for i, v := range from {
					out[i] = T(scale * (float64(out[i]) - shift - slope*(float64(v)-mean)))
				}
			})
			free32(t)
		}
	})
}

// rectified sets dx to the gradient before LeakyReLU and returns its sum, and
// that of its products with x − mean.
func rectified[T Float](dx, x, y, dy []T, scratch []float32, mean, slope float64) (sum, dot float64) {
	if fast[T]() {
		out, grad := singles(dx), singles(dy)
		if slope == 1 {
			copy(out, grad)
		} else {
			simd.ActivateBackward(out, singles(y), grad, simd.ReLU)
			simd.Scale(out, out, float32(1-slope))
			simd.Axpy(out, grad, float32(slope))
		}
		t, rounded := scratch[:len(out)], float32(-mean)
		simd.AddScalar(t, singles(x), rounded)
		sum = simd.Sum(out)
		return sum, simd.Dot(out, t) - (mean+float64(rounded))*sum
	}
	for i, g := range dy {
		if slope != 1 && !(y[i] > 0) {
			g *= T(slope)
		}
		dx[i] = g
		sum += float64(g)
		dot += float64(g) * (float64(x[i]) - mean)
	}
	return sum, dot
}
