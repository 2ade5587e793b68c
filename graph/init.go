package graph

import (
	"math"
	"math/rand/v2"
)

// Init fills a fresh parameter.
type Init func(r *rand.Rand, dst []float32)

// Zeros fills with 0.
func Zeros(_ *rand.Rand, dst []float32) { clear(dst) }

// Ones fills with 1.
func Ones(r *rand.Rand, dst []float32) { Constant(1)(r, dst) }

// Constant fills with v.
func Constant(v float64) Init {
	return func(_ *rand.Rand, dst []float32) {
		for i := range dst {
			dst[i] = float32(v)
		}
	}
}

// Normal draws from N(0, std²).
func Normal(std float64) Init {
	return func(r *rand.Rand, dst []float32) {
		for i := range dst {
			dst[i] = float32(std * r.NormFloat64())
		}
	}
}

// TruncatedNormal draws from N(0, std²) within two standard deviations, by
// rejection.
func TruncatedNormal(std float64) Init {
	return func(r *rand.Rand, dst []float32) {
		for i := range dst {
			z := r.NormFloat64()
			for math.Abs(z) > 2 {
				z = r.NormFloat64()
			}
			dst[i] = float32(std * z)
		}
	}
}

// Uniform draws from [−bound, bound).
func Uniform(bound float64) Init {
	return func(r *rand.Rand, dst []float32) {
		for i := range dst {
			dst[i] = float32(bound * (2*r.Float64() - 1))
		}
	}
}

// KaimingUniform draws from ±1/√fanIn, the default of PyTorch's linear and
// convolution layers (arXiv:1502.01852 with a = √5).
func KaimingUniform(fanIn int) Init { return Uniform(1 / math.Sqrt(float64(fanIn))) }

// XavierUniform draws from ±√(6/(fanIn+fanOut)) (Glorot and Bengio 2010).
func XavierUniform(fanIn, fanOut int) Init {
	return Uniform(math.Sqrt(6 / float64(fanIn+fanOut)))
}
