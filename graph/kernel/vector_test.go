package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"tessera/graph/kernel/simd"
)

// TestLevels repeats the tests of all functions that have fast kernels.
func TestLevels(t *testing.T) {
	atLevels(t, func(t *testing.T) {
		for name, f := range map[string]func(t *testing.T){
			"Activate": TestActivate, "ActivateRelativeNearZero": TestActivateRelativeNearZero,
			"ActivateEdges": TestActivateEdges, "BiasActivate": TestBiasActivate,
			"Arithmetic": TestArithmetic, "Elementwise": TestElementwise,
			"ExpandAndReduce": TestExpandAndReduce, "ReduceKeepsPrecisionAndNaN": TestReduceKeepsPrecisionAndNaN,
			"Softmax": TestSoftmax, "CrossEntropy": TestCrossEntropy, "CrossEntropyIDs": TestCrossEntropyIDs,
			"CrossEntropyAtTheExtremes": TestCrossEntropyAtTheExtremes,
			"LayerNorm":                 TestLayerNorm, "LayerNormLargeMean": TestLayerNormLargeMean,
			"L2Normalize": TestL2Normalize, "Dropout": TestDropout, "DropPath": TestDropPath,
		} {
			t.Run(name, f)
		}
	})
}

// call is a kernel with results of the given sizes.
type call struct {
	name  string
	sizes []int
	tol   float64
	run   func(out [][]float32)
}

// vectorCalls are calls of the kernels that have fast forms on numbers that
// begin with x and y, for several shapes.
func vectorCalls(x, y []float32, rows, n int) []call {
	size := rows * n
	x, y = x[:size], y[:size]
	square := []int{rows, n}
	row, column := []int{n}, []int{rows, 1}
	full := NewBroadcast(square, square, square)
	calls := []call{
		{"add", []int{size}, 0, func(o [][]float32) { Add(o[0], x, y, full) }},
		{"sub row", []int{size}, 0, func(o [][]float32) { Sub(o[0], x, y[:n], NewBroadcast(square, square, row)) }},
		{"mul column", []int{size}, 0, func(o [][]float32) { Mul(o[0], x, y[:rows], NewBroadcast(square, square, column)) }},
		{"div", []int{size}, 0, func(o [][]float32) { Div(o[0], x, y, full) }},
		{"scale", []int{size}, 0, func(o [][]float32) { Scale(o[0], x, 0.3) }},
		{"shift", []int{size}, 0, func(o [][]float32) { Shift(o[0], x, 0.3) }},
		{"sum", []int{size}, 0, func(o [][]float32) { Sum(o[0], x, y, x) }},
		{"exp", []int{size}, 2e-7, func(o [][]float32) { Exp(o[0], x) }},
		{"dropout", []int{size}, 0, func(o [][]float32) { Dropout(o[0], x, 0.3, NewKey(1, 2)) }},
		{"inner", []int{1}, 1e-6, func(o [][]float32) { o[0][0] = float32(Inner(x, y)) }},
		{"reduce rows", []int{n}, 1e-6, func(o [][]float32) { Reduce(o[0], x, 0.5, NewBroadcast(square, row, square)) }},
		{"reduce columns", []int{rows}, 1e-6, func(o [][]float32) { Reduce(o[0], x, 1, NewBroadcast(square, column, square)) }},
		{"softmax", []int{size}, 5e-7, func(o [][]float32) { Softmax(o[0], x, nil, Mask{}, n) }},
		{"masked softmax", []int{size}, 5e-7, func(o [][]float32) { Softmax(o[0], x, y, NewMask(square, square), n) }},
		{"softmax gradient", []int{size}, 1e-5, func(o [][]float32) { SoftmaxBackward(o[0], x, y, n) }},
		{"log softmax", []int{size}, 5e-7, func(o [][]float32) { LogSoftmax(o[0], x, n) }},
		{"log softmax gradient", []int{size}, 1e-6, func(o [][]float32) { LogSoftmaxBackward(o[0], x, y, n) }},
		{"layer norm", []int{size, rows, rows}, 2e-6, func(o [][]float32) { LayerNorm(o[0], o[1], o[2], x, y[:n], x[:n], 1e-5, n) }},
		{"l2 norm", []int{size, rows}, 1e-6, func(o [][]float32) { L2Normalize(o[0], o[1], x, 1e-12, n) }},
		{"cross-entropy", []int{4 * rows, size}, 1e-6, func(o [][]float32) {
			ids := make([]float32, rows)
			for i := range ids {
				ids[i] = float32(i % n)
			}
			CrossEntropyIDs(o[0], x, ids, nil, rows, n)
			CrossEntropyIDsBackward(o[1], o[0], x, ids, 1, rows, n)
		}},
		{"layer norm gradient", []int{size, n, n}, 5e-6, func(o [][]float32) {
			mean, rstd, hat := make([]float32, rows), make([]float32, rows), make([]float32, size)
			LayerNorm(hat, mean, rstd, x, nil, nil, 1e-5, n)
			LayerNormBackward(o[0], o[1], o[2], x, y[:n], mean, rstd, y, n)
		}},
	}
	for a := Identity; a.Valid(); a++ {
		calls = append(calls,
			call{a.String(), []int{size}, 3e-7, func(o [][]float32) { Activate(o[0], x, a) }},
			call{a.String() + " gradient", []int{size}, 6e-7, func(o [][]float32) { ActivateBackward(o[0], x, y, a) }},
			call{a.String() + " with bias", []int{size, size}, 6e-7, func(o [][]float32) {
				for r := range rows {
					biasActivate(o[0][r*n:(r+1)*n], o[1][r*n:(r+1)*n], x[r*n:(r+1)*n], y[:n], a)
				}
			}})
	}
	return calls
}

// results runs a call.
func (c call) results() [][]float32 {
	out := make([][]float32, len(c.sizes))
	for i, n := range c.sizes {
		out[i] = dirty[float32](n)
	}
	c.run(out)
	return out
}

// TestVectorsEqualPlainCode compares fast kernels with plain ones.
func TestVectorsEqualPlainCode(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, s := range [][2]int{{1, 1}, {3, 5}, {2, 33}, {130, 31}, {700, 70}, {90, 1030}} {
		x, y := uniform[float32](rng, s[0]*s[1]), uniform[float32](rng, s[0]*s[1])
		for i := range x {
			x[i], y[i] = 4*x[i], 2*y[i]
		}
		calls := vectorCalls(x, y, s[0], s[1])
		before := simd.Use(simd.None)
		plain := make([][][]float32, len(calls))
		for i, c := range calls {
			plain[i] = c.results()
		}
		simd.Use(before)
		for l := simd.AVX2; l <= simd.Best(); l++ {
			before := simd.Use(l)
			for i, c := range calls {
				tol := c.tol
				if s[1] == 1 && c.name == "layer norm gradient" {
					tol = 1 // 0 times the inverse of √eps
				}
				for k, got := range c.results() {
					near(t, fmt.Sprintf("%v of %v, %v", c.name, s, l), got, widen(plain[i][k]), tol)
				}
			}
			simd.Use(before)
		}
	}
}

// TestVectorsOnSpecialNumbers demands NaN and infinities where plain code has
// them.
func TestVectorsOnSpecialNumbers(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	special := []float32{0, 1e-45, -1e-45, 1e-40, -1e-39, 1.2e-38, 1e-30, -1e-20, 0.5, -0.6, 0.63, 3, -8, 15, -20,
		60, -60, 88, -88, 90, -90, 104, -104, 1e4, -1e4, 1e10, -1e15, 1e18, -1e18, 1e37, -1e37, inf, -inf, nan}
	for _, v := range special {
		x, y := make([]float32, 37), make([]float32, 37)
		for i := range x {
			x[i], y[i] = special[i%len(special)], v
		}
		for _, pair := range [][2][]float32{{x, y}, {y, x}} {
			// Sums differ where they overflow, so rows have one element.
			for _, c := range vectorCalls(pair[0], pair[1], 37, 1) {
				before := simd.Use(simd.None)
				plain := c.results()
				for l := simd.AVX2; l <= simd.Best(); l++ {
					simd.Use(l)
					for k, got := range c.results() {
						for i, p := range plain[k] {
							switch g := got[i]; {
							case g != g && p != p || g == p:
							case p-p != 0 || g-g != 0: // one is not finite, or they differ in sign
								t.Errorf("%s at (%v, %v), %v: %v, plain code %v", c.name, pair[0][i%37], pair[1][i%37], l, g, p)
							}
						}
					}
				}
				simd.Use(before)
			}
		}
	}
}

func TestVectorBytesDoNotDependOnCores(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	x, y := uniform[float32](rng, 700*193), uniform[float32](rng, 700*193)
	atLevels(t, func(t *testing.T) {
		for _, c := range vectorCalls(x, y, 700, 193) {
			before := runtime.GOMAXPROCS(1)
			one := c.results()
			runtime.GOMAXPROCS(5)
			five := c.results()
			runtime.GOMAXPROCS(before)
			for k := range one {
				for i, v := range one[k] {
					if math.Float32bits(v) != math.Float32bits(five[k][i]) {
						t.Fatalf("%s: element %d is %v on one core, %v on five", c.name, i, v, five[k][i])
					}
				}
			}
		}
	})
}

func TestVectorRowsDoNotAllocate(t *testing.T) {
	x, y := make([]float32, 100), make([]float32, 100)
	atLevels(t, func(t *testing.T) {
		for name, f := range map[string]func(){
			"activate":     func() { activate(y, x, GELU) },
			"gradient":     func() { activateBackward(y, x, x, SiLU) },
			"biasActivate": func() { biasActivate(y, x, x, x, Tanh) },
			"addRow":       func() { addRow(y, x, 1, x, 1) },
			"softmax":      func() { softmax(y, x, nil) },
			"sumRun":       func() { y[0] = float32(sumRun(x)) },
			"dot":          func() { y[0] = float32(dot(x, x)) },
			"dropout":      func() { dropout(y, x, 0.1, 7, 3) },
		} {
			if n := testing.AllocsPerRun(10, f); n != 0 {
				t.Errorf("%s allocates %v times", name, n)
			}
		}
	})
}
