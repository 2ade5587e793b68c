package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// broadcasts are shapes of a result and two operands.
var broadcasts = []struct{ shape, a, b []int }{
	{[]int{1}, []int{1}, []int{1}},
	{[]int{0, 3}, []int{0, 3}, []int{3}},
	{[]int{3, 0}, []int{3, 1}, []int{1}},
	{[]int{70000}, []int{70000}, []int{70000}},
	{[]int{70000}, []int{70000}, []int{1}},
	{[]int{3, 5}, []int{3, 5}, []int{5}},
	{[]int{3, 5}, []int{1, 5}, []int{3, 1}},
	{[]int{3, 5}, []int{3, 1}, []int{3, 5}},
	{[]int{2, 3, 4, 5}, []int{3, 1, 5}, []int{2, 1, 4, 1}},
	{[]int{2, 3, 4, 5}, []int{1, 3, 1, 1}, []int{2, 3, 4, 5}},
	{[]int{4, 1, 100}, []int{4, 1, 100}, []int{1}},
	{[]int{50, 7, 67}, []int{50, 1, 67}, []int{7, 67}},
}

func TestArithmetic(t *testing.T) {
	t.Run("float32", testArithmetic[float32])
	t.Run("float64", testArithmetic[float64])
}

func testArithmetic[T Float](t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	for _, op := range []struct {
		name string
		got  func(dst, a, b []T, by Broadcast)
		want func(a, b T) T
	}{
		{"add", Add[T], func(a, b T) T { return a + b }},
		{"sub", Sub[T], func(a, b T) T { return a - b }},
		{"mul", Mul[T], func(a, b T) T { return a * b }},
		{"div", Div[T], func(a, b T) T { return a / b }},
	} {
		for _, tt := range broadcasts {
			a, b := randoms[T](r, volume(tt.a)), randoms[T](r, volume(tt.b))
			if len(a) > 2 {
				a[1], a[2] = T(math.NaN()), T(math.Inf(1))
			}
			got, want := garbage[T](volume(tt.shape)), make([]float64, volume(tt.shape))
			op.got(got, a, b, NewBroadcast(tt.shape, tt.a, tt.b))
			for i := range want {
				at := unravel(i, tt.shape)
				want[i] = float64(op.want(a[ravel(at, tt.a)], b[ravel(at, tt.b)]))
			}
			same(t, fmt.Sprint(op.name, tt), got, want, 0)
		}
	}
}

func TestExpandAndReduce(t *testing.T) {
	t.Run("float32", testExpandAndReduce[float32])
	t.Run("float64", testExpandAndReduce[float64])
}

func testExpandAndReduce[T Float](t *testing.T) {
	r := rand.New(rand.NewPCG(4, 1))
	shapes := append(broadcasts, []struct{ shape, a, b []int }{
		{[]int{200000}, []int{1}, []int{1}},
		{[]int{1000, 3}, []int{3}, []int{1, 1}},
		{[]int{3, 1000}, []int{3, 1}, []int{1000}},
		{[]int{5, 3, 130}, []int{1, 3, 1}, []int{5, 1, 130}},
	}...)
	for _, tt := range shapes {
		for _, small := range [][]int{tt.a, tt.b} {
			for _, scale := range []float64{1, 0.25} {
				x, by := randoms[T](r, volume(small)), NewBroadcast(tt.shape, small, tt.shape)
				big, want := garbage[T](volume(tt.shape)), make([]float64, volume(tt.shape))
				Expand(big, x, scale, by)
				for i := range want {
					want[i] = float64(x[ravel(unravel(i, tt.shape), small)]) * scale
				}
				same(t, fmt.Sprint("expand", small, tt.shape), big, want, 0)

				copy(big, randoms[T](r, len(big)))
				sum, total := garbage[T](len(x)), make([]float64, len(x))
				Reduce(sum, big, scale, by)
				for i, v := range big {
					total[ravel(unravel(i, tt.shape), small)] += float64(v) * scale
				}
				same(t, fmt.Sprint("reduce", tt.shape, small), sum, total, 1e-6)
			}
		}
	}
}

func TestReduceKeepsPrecisionAndNaN(t *testing.T) {
	x := make([]float32, 3_000_001)
	fill(x, 0.1)
	got := make([]float32, 1)
	by := NewBroadcast([]int{len(x)}, []int{1}, []int{len(x)})
	Reduce(got, x, 1, by)
	same(t, "sum", got, []float64{float64(float32(0.1)) * float64(len(x))}, 1e-7)
	x[17] = float32(math.NaN())
	Reduce(got, x, 1, by)
	same(t, "sum with NaN", got, []float64{math.NaN()}, 0)
}

func TestElementwise(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 1))
	for _, n := range []int{0, 1, 40000} {
		x, dy := randoms[float32](r, n), randoms[float32](r, n)
		if n > 2 {
			x[0], x[1], x[2] = float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))
		}
		for _, tt := range []struct {
			name string
			got  func(dst []float32)
			want func(x, dy float64) float64
		}{
			{"shift", func(d []float32) { Shift(d, x, 2) }, func(x, _ float64) float64 { return x + 2 }},
			{"exp", func(d []float32) { Exp(d, x) }, func(x, _ float64) float64 { return math.Exp(x) }},
			{"log", func(d []float32) { Log(d, x) }, func(x, _ float64) float64 { return math.Log(x) }},
			{"sqrt", func(d []float32) { Sqrt(d, x) }, func(x, _ float64) float64 { return math.Sqrt(x) }},
			{"sqrt backward", func(d []float32) { SqrtBackward(d, x, dy) }, func(x, dy float64) float64 { return dy / (2 * x) }},
			{"square backward", func(d []float32) { SquareBackward(d, x, dy) }, func(x, dy float64) float64 { return 2 * x * dy }},
			{"clamp", func(d []float32) { Clamp(d, x, -0.5, 1) }, func(x, _ float64) float64 { return min(max(x, -0.5), 1) }},
			{"clamp backward", func(d []float32) { ClampBackward(d, x, dy, -0.5, 1) }, func(x, dy float64) float64 {
				if x < -0.5 || x > 1 {
					return 0
				}
				return dy
			}},
		} {
			got, want := garbage[float32](n), make([]float64, n)
			tt.got(got)
			for i := range want {
				want[i] = tt.want(float64(x[i]), float64(dy[i]))
			}
			same(t, tt.name, got, want, 3e-7)
		}
	}
}
