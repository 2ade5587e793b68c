package simd

import (
	"encoding/binary"
	"math"
	"testing"
)

// FuzzVector compares the sets of instructions on any numbers: they must agree
// on NaN, and otherwise but for rounding.
func FuzzVector(f *testing.F) {
	var seed []byte
	for _, v := range []float32{0, 1, -1, 88.7, 89, -103, -104, 1e-45, 1e38, -1e38, 0.6, 0.63, -9, 20,
		float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), 3, -3} {
		seed = binary.LittleEndian.AppendUint32(seed, math.Float32bits(v))
	}
	f.Add(seed)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		if Best() < AVX512 {
			t.Skip("one set of instructions")
		}
		n := min(len(data)/8, 300)
		in := make([][]float32, 2)
		for k := range in {
			for i := range n {
				in[k] = append(in[k], math.Float32frombits(binary.LittleEndian.Uint32(data[4*(k*n+i):])))
			}
		}
		for _, op := range operations() {
			if op.whole != nil {
				continue // sums in another order may differ by anything
			}
			var out [2][][]float32
			for l, level := range []Level{AVX2, AVX512} {
				out[l] = make([][]float32, op.out)
				for k := range out[l] {
					out[l][k] = make([]float32, n)
				}
				before := Use(level)
				op.run(out[l], in)
				Use(before)
			}
			for k := range op.out {
				same(t, op.name, out[1][k], out[0][k])
			}
		}
		for _, level := range []Level{AVX2, AVX512} {
			before := Use(level)
			y := make([]float32, n)
			if n > 0 {
				Softmax(y, in[0], in[1], n, 1)
			}
			Use(before)
			var sum float64
			for _, v := range y {
				sum += float64(v)
			}
			if n > 0 && sum != 0 && !(math.Abs(sum-1) < 1e-4) && sum == sum {
				t.Fatalf("%v: probabilities add up to %v", level, sum)
			}
		}
	})
}
