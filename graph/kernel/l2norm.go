package kernel

import (
	"math"

	"tessera/graph/kernel/simd"
)

// L2Normalize writes x / max(‖x‖, eps) to y and ‖x‖ to norm, by rows of n
// elements.
func L2Normalize[T Float](y, norm, x []T, eps float64, n int) {
	Chunks(len(norm), (n+1)/2, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			from, to := x[r*n:(r+1)*n], y[r*n:(r+1)*n]
			length := math.Sqrt(dot(from, from))
			norm[r] = T(length)
			scale := 1 / max(length, eps)
			if scale < math.MaxFloat32 && fast[T]() {
				simd.Scale(singles(to), singles(from), float32(scale))
				continue
			}
			for j, v := range from {
				to[j] = T(float64(v) * scale)
			}
		}
	})
}

// L2NormalizeBackward sets dx = (dy − y Σ y dy) / ‖x‖ by rows of n elements, or
// dy / eps where ‖x‖ is not above eps.
func L2NormalizeBackward[T Float](dx, y, norm, dy []T, eps float64, n int) {
	Chunks(len(norm), (n+1)/2, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			to, u, g := dx[r*n:(r+1)*n], y[r*n:(r+1)*n], dy[r*n:(r+1)*n]
			length, s := float64(norm[r]), 0.0
			if length <= eps {
				length = eps
			} else {
				s = dot(u, g)
			}
			if 1/length < math.MaxFloat32 && fast[T]() {
				copy(to, g)
				simd.Axpy(singles(to), singles(u), float32(-s))
				simd.Scale(singles(to), singles(to), float32(1/length))
				continue
			}
			for j, d := range g {
				to[j] = T((float64(d) - float64(u[j])*s) / length)
			}
		}
	})
}
