package kernel

import "tessera/graph/kernel/simd"

// RowDots sets dst to the products of x with the rows of m, which have its
// length, on one goroutine. A product does not depend on where its row lies.
func RowDots(dst, x, m []float32) {
	n := len(x)
	if simd.Active() != simd.None {
		// One by one: four at once read memory half as fast.
		for i := range dst {
			simd.Dots(dst[i:i+1], x, m[i*n:(i+1)*n], n)
		}
		return
	}
	for i := range dst {
		var sum float32
		for j, v := range m[i*n : (i+1)*n] {
			sum += v * x[j]
		}
		dst[i] = sum
	}
}

// RowDotsInt8 is RowDots for 8 bits: dst[i] = scale · scales[i] · Σ x m[i], the
// sum being exact for rows of up to 131071 elements.
func RowDotsInt8(dst []float32, x, m []int8, scales []float32, scale float32) {
	n := len(x)
	var sums [256]int32
	for lo := 0; lo < len(dst); lo += len(sums) {
		s := sums[:min(len(sums), len(dst)-lo)]
		if rows := m[lo*n : (lo+len(s))*n]; simd.Active() != simd.None {
			simd.DotInt8Rows(s, rows, x)
		} else {
			for i := range s {
				var sum int32
				for j, v := range rows[i*n : (i+1)*n] {
					sum += int32(v) * int32(x[j])
				}
				s[i] = sum
			}
		}
		for i, v := range s {
			dst[lo+i] = scale * scales[lo+i] * float32(v)
		}
	}
}
