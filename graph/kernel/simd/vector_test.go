package simd

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// atLevels runs a test with every set of instructions this machine has.
func atLevels(t *testing.T, f func(t *testing.T)) {
	if Best() == None {
		t.Skip("no instructions")
	}
	for _, l := range []Level{AVX2, AVX512} {
		if l > Best() {
			continue
		}
		t.Run(l.String(), func(t *testing.T) {
			defer Use(Use(l))
			f(t)
		})
	}
}

// sizes meet every combination of whole steps, whole registers and tails.
var sizes = func() []int {
	var s []int
	for n := range 70 {
		s = append(s, n)
	}
	return append(s, 127, 128, 129, 197, 255, 256, 300, 1025)
}()

// operation is a function of slices of equal length, with its definition.
type operation struct {
	name    string
	in, out int
	run     func(out, in [][]float32)
	want    func(x []float64) []float64 // of one element, or
	whole   func(out, in [][]float64)   // of all
	tol     float64                     // of the result, or of 1 where it is smaller
	scale   float64                     // of the inputs
}

func operations() []operation {
	ops := []operation{
		{name: "exp", in: 1, out: 1, tol: 1.2e-7, scale: 20,
			run:  func(o, x [][]float32) { Exp(o[0], x[0]) },
			want: func(x []float64) []float64 { return []float64{math.Exp(x[0])} }},
		{name: "exp scaled", in: 1, out: 1, tol: 3e-7, scale: 5,
			run:  func(o, x [][]float32) { ExpScaled(o[0], x[0], 1.5, 0.25) },
			want: func(x []float64) []float64 { return []float64{0.25 * math.Exp(x[0]-1.5)} }},
		{name: "log softmax backward", in: 2, out: 1, tol: 3e-7, scale: 2,
			run:  func(o, x [][]float32) { LogSoftmaxBackward(o[0], x[0], x[1], 0.5) },
			want: func(x []float64) []float64 { return []float64{x[1] - 0.5*math.Exp(x[0])} }},
		{name: "add", in: 2, out: 1, tol: 6e-8, scale: 9,
			run:  func(o, x [][]float32) { Add(o[0], x[0], x[1]) },
			want: func(x []float64) []float64 { return []float64{x[0] + x[1]} }},
		{name: "sub", in: 2, out: 1, tol: 6e-8, scale: 9,
			run:  func(o, x [][]float32) { Sub(o[0], x[0], x[1]) },
			want: func(x []float64) []float64 { return []float64{x[0] - x[1]} }},
		{name: "mul", in: 2, out: 1, tol: 6e-8, scale: 9,
			run:  func(o, x [][]float32) { Mul(o[0], x[0], x[1]) },
			want: func(x []float64) []float64 { return []float64{x[0] * x[1]} }},
		{name: "div", in: 2, out: 1, tol: 6e-8, scale: 9,
			run:  func(o, x [][]float32) { Div(o[0], x[0], x[1]) },
			want: func(x []float64) []float64 { return []float64{x[0] / x[1]} }},
		{name: "add scalar", in: 1, out: 1, tol: 6e-8, scale: 9,
			run:  func(o, x [][]float32) { AddScalar(o[0], x[0], -3) },
			want: func(x []float64) []float64 { return []float64{x[0] - 3} }},
		{name: "scale", in: 1, out: 1, tol: 6e-8, scale: 9,
			run:  func(o, x [][]float32) { Scale(o[0], x[0], 0.75) },
			want: func(x []float64) []float64 { return []float64{x[0] * 0.75} }},
		{name: "axpy", in: 2, out: 1, tol: 6e-8, scale: 9,
			run: func(o, x [][]float32) {
				copy(o[0], x[1])
				Axpy(o[0], x[0], -1.5)
			},
			want: func(x []float64) []float64 { return []float64{x[1] - 1.5*x[0]} }},
		{name: "mix", in: 2, out: 1, tol: 4e-7, scale: 5,
			run: func(o, x [][]float32) {
				copy(o[0], x[1])
				Mix(o[0], x[0], 0.25)
			},
			want: func(x []float64) []float64 { return []float64{x[1] + 0.25*(x[0]-x[1])} }},
		{name: "sums", in: 2, out: 1, tol: 1e-7, scale: 3,
			run: func(o, x [][]float32) {
				s := []float32{float32(Sum(x[0])), float32(Dot(x[0], x[1])), float32(SumExp(x[0], 0.5)), Max(x[0])}
				copy(o[0], s)
			},
			whole: func(o, x [][]float64) {
				s := []float64{0, 0, 0, math.Inf(-1)}
				for i, v := range x[0] {
					s[0] += v
					s[1] += v * x[1][i]
					s[2] += math.Exp(v - 0.5)
					s[3] = max(s[3], v)
				}
				copy(o[0][copy(o[0], s):], make([]float64, len(o[0])))
			}},
		{name: "softmax backward", in: 2, out: 1, tol: 5e-7, scale: 1,
			run: func(o, x [][]float32) { SoftmaxBackward(o[0], x[0], x[1], len(x[0]), 0.5) },
			whole: func(o, x [][]float64) {
				var s float64
				for i, y := range x[0] {
					s += y * x[1][i]
				}
				for i, y := range x[0] {
					o[0][i] = 0.5 * y * (x[1][i] - s)
				}
			}},
	}
	for a, f := range definitions {
		ops = append(ops, operation{name: "activation " + fmt.Sprint(a), in: 1, out: 1, tol: 2.4e-7, scale: 6,
			run:  func(o, x [][]float32) { Activate(o[0], x[0], a) },
			want: func(x []float64) []float64 { return []float64{f[0](x[0])} },
		}, operation{name: "biased activation " + fmt.Sprint(a), in: 2, out: 2, tol: 5e-7, scale: 3,
			run: func(o, x [][]float32) { BiasActivate(o[0], o[1], x[0], x[1], a) },
			want: func(x []float64) []float64 {
				v := float64(float32(x[0] + x[1]))
				return []float64{f[0](v), f[1](v)}
			},
		}, operation{name: "activation gradient " + fmt.Sprint(a), in: 2, out: 1, tol: 5e-7, scale: 3,
			run:  func(o, x [][]float32) { ActivateBackward(o[0], x[0], x[1], a) },
			want: func(x []float64) []float64 { return []float64{x[1] * f[1](x[0])} },
		})
	}
	return ops
}

// definitions are the activations and their derivatives.
var definitions = map[Activation][2]func(x float64) float64{
	Identity: {func(x float64) float64 { return x }, func(x float64) float64 { return 1 }},
	GELU: {
		func(x float64) float64 { return x * math.Erfc(-x/math.Sqrt2) / 2 },
		func(x float64) float64 {
			return math.Erfc(-x/math.Sqrt2)/2 + x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi)
		},
	},
	GELUTanh: {
		func(x float64) float64 { return x / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))) },
		func(x float64) float64 {
			t := math.Tanh(math.Sqrt(2/math.Pi) * (x + 0.044715*x*x*x))
			return (1+t)/2 + x/2*(1-t*t)*math.Sqrt(2/math.Pi)*(1+3*0.044715*x*x)
		},
	},
	QuickGELU: {func(x float64) float64 { return x * logistic(1.702*x) }, func(x float64) float64 {
		s := logistic(1.702 * x)
		return s + 1.702*x*s*(1-s)
	}},
	SiLU: {func(x float64) float64 { return x * logistic(x) }, func(x float64) float64 {
		return logistic(x) + x*logistic(x)*(1-logistic(x))
	}},
	Tanh: {math.Tanh, func(x float64) float64 { return 1 - math.Tanh(x)*math.Tanh(x) }},
	ReLU: {func(x float64) float64 { return max(x, 0) }, func(x float64) float64 {
		if x > 0 {
			return 1
		}
		return 0
	}},
	Sigmoid: {logistic, func(x float64) float64 { return logistic(x) * (1 - logistic(x)) }},
}

func logistic(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// evaluate gives the results of an operation in float64.
func (o operation) evaluate(in [][]float32) [][]float64 {
	n := len(in[0])
	x, out := make([][]float64, o.in), make([][]float64, o.out)
	for k := range x {
		for _, v := range in[k] {
			x[k] = append(x[k], float64(v))
		}
	}
	for k := range out {
		out[k] = make([]float64, n)
	}
	if o.whole != nil {
		o.whole(out, x)
		return out
	}
	element := make([]float64, o.in)
	for i := range n {
		for k := range x {
			element[k] = x[k][i]
		}
		for k, v := range o.want(element) {
			out[k][i] = v
		}
	}
	return out
}

func normal(rng *rand.Rand, x []float32, scale float64) []float32 {
	for i := range x {
		x[i] = float32(scale * rng.NormFloat64())
	}
	return x
}

// TestOperations compares all operations with their definitions, in memory of
// any alignment and between guards.
func TestOperations(t *testing.T) {
	atLevels(t, func(t *testing.T) {
		for _, op := range operations() {
			t.Run(op.name, func(t *testing.T) { op.test(t) })
		}
	})
}

func (o operation) test(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range sizes {
		in, out := make([][]float32, o.in), make([][]float32, o.out)
		for k := range in {
			in[k] = normal(rng, make([]float32, n+1), o.scale)[1:]
		}
		for k := range out {
			out[k] = normal(rng, make([]float32, n+2), 1)[1 : n+1]
			if o.name == "sums" {
				clear(out[k])
			}
		}
		o.run(out, in)
		for k, want := range o.evaluate(in) {
			for i, w := range want {
				if got := float64(out[k][i]); !(math.Abs(got-w) <= o.tol*max(1, math.Abs(w))) && got != float64(float32(w)) {
					t.Fatalf("n = %d: result %d of element %d = %v, want %v", n, k, i, got, w)
				}
			}
		}
		for place := range 2 { // flush with the guard before, then behind
			at := func(n int) []float32 {
				front, back := guarded[float32](t, n)
				return [][]float32{front, back}[place]
			}
			gin, gout := make([][]float32, o.in), make([][]float32, o.out)
			for k := range gin {
				gin[k] = at(n)
				copy(gin[k], in[k])
			}
			for k := range gout {
				gout[k] = at(n)
			}
			o.run(gout, gin)
			for k := range gout {
				same(t, fmt.Sprintf("n = %d between guards", n), gout[k], out[k])
			}
		}
	}
}

// same demands equal bits, or NaN in both.
func same(t testing.TB, what string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d elements, want %d", what, len(got), len(want))
	}
	for i, g := range got {
		if w := want[i]; math.Float32bits(g) != math.Float32bits(w) && (g == g || w == w) {
			t.Fatalf("%s: element %d = %v, want %v", what, i, g, w)
		}
	}
}

func TestExpEverywhere(t *testing.T) {
	atLevels(t, func(t *testing.T) {
		var x []float32
		for v := -110.0; v < 95; v += 0.00137 {
			x = append(x, float32(v))
		}
		y := make([]float32, len(x))
		Exp(y, x)
		for i, v := range x {
			want := math.Exp(float64(v))
			got := float64(y[i])
			switch {
			case want > math.MaxFloat32:
				if !math.IsInf(got, 1) {
					t.Fatalf("exp(%v) = %v, want +Inf", v, got)
				}
			case math.Abs(got-want) > 1.2e-7*want+1e-45:
				t.Fatalf("exp(%v) = %v, want %v", v, got, want)
			}
		}
	})
}

func TestTailsOfGELU(t *testing.T) {
	atLevels(t, func(t *testing.T) {
		for x := float32(0.01); x < 12; x *= 1.01 {
			y := make([]float32, 1)
			Activate(y, []float32{-x}, GELU)
			want := definitions[GELU][0](float64(-x))
			tol := 4e-7 * (1 + float64(x*x)/4) // x² is rounded before the exponential
			if math.Abs(float64(y[0])/want-1) > tol {
				t.Errorf("GELU(%v) = %v, want %v within %g", -x, y[0], want, tol)
			}
		}
	})
}

func TestMaxKeepsNaN(t *testing.T) {
	nan := float32(math.NaN())
	atLevels(t, func(t *testing.T) {
		for _, n := range sizes[1:] {
			for _, at := range []int{0, n / 2, n - 1} {
				x := make([]float32, n)
				x[at] = nan
				if v := Max(x); v == v {
					t.Fatalf("n = %d: NaN at %d gives %v", n, at, v)
				}
			}
		}
		inf := float32(math.Inf(1))
		for _, x := range [][]float32{{-inf, -inf}, {inf, -inf, 0}, {-inf, -3}} {
			want := x[0]
			for _, v := range x {
				want = max(want, v)
			}
			if got := Max(x); got != want {
				t.Errorf("max of %v is %v", x, got)
			}
		}
	})
}

func TestShortSlicesPanic(t *testing.T) {
	atLevels(t, func(t *testing.T) {
		long, short := make([]float32, 20), make([]float32, 19, 40)
		for name, f := range map[string]func(){
			"add":        func() { Add(long, long, short) },
			"exp":        func() { Exp(long, short) },
			"activation": func() { BiasActivate(long, nil, long, short, GELU) },
			"slope":      func() { BiasActivate(long, short, long, nil, GELU) },
			"dot":        func() { Dot(long, short) },
			"rows":       func() { AddRows(make([]float64, 10), short, 2, 10) },
			"softmax":    func() { Softmax(long, short, nil, 10, 1) },
			"mask":       func() { Softmax(long, long, short, 10, 1) },
			"norm":       func() { LayerNorm(long, long[:2], short[:1], long, nil, nil, 1e-5, 10) },
			"dropout":    func() { Dropout(long, short, 1, 2, 3) },
			"adam":       func() { new(AdamW).Step(long, long, long, short) },
			"bytes":      func() { DotInt8(make([]int8, 20), make([]int8, 19, 40)) },
		} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s accepts a slice that is too short", name)
					}
				}()
				f()
			}()
		}
	})
}
