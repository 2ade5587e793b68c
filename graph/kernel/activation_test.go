package kernel

import (
	"fmt"
	"math"
	"testing"
)

// dense is a range of numbers that meets every branch of the functions.
func dense[T Float]() []T {
	var x []T
	for v := -20.0; v <= 20; v += 0.00173 {
		x = append(x, T(v))
	}
	for e := -45.0; e < 38; e += 0.37 {
		x = append(x, T(math.Pow(10, e)), -T(math.Pow(10, e)))
	}
	return append(x, 0, 88, 88.7, 89, -87, -88, -100, -104, -105)
}

func TestExp32(t *testing.T) {
	for v := -110.0; v < 90; v += 0.00371 {
		x := float32(v)
		want := math.Exp(float64(x))
		got := float64(exp32(x))
		switch {
		case want > math.MaxFloat32:
			if !math.IsInf(got, 1) {
				t.Fatalf("exp(%v) = %v, want +Inf", x, got)
			}
		case math.Abs(got-want) > 1.2e-7*want+1.5e-45:
			t.Fatalf("exp(%v) = %v, want %v", x, got, want)
		}
	}
	inf := float32(math.Inf(1))
	if exp32(inf) != inf || exp32(-inf) != 0 || exp32(0) != 1 {
		t.Errorf("exp(±Inf, 0) = %v, %v, %v", exp32(inf), exp32(-inf), exp32(0))
	}
	if v := exp32(float32(math.NaN())); v == v {
		t.Errorf("exp(NaN) = %v", v)
	}
}

// activations are the functions and their derivatives, in float64.
var activations = map[Activation][2]func(x float64) float64{
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
	Tanh:    {math.Tanh, func(x float64) float64 { return 1 - math.Tanh(x)*math.Tanh(x) }},
	ReLU:    {func(x float64) float64 { return math.Max(x, 0) }, func(x float64) float64 { return step(x) }},
	Sigmoid: {logistic, func(x float64) float64 { return logistic(x) * (1 - logistic(x)) }},
}

func logistic(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func step(x float64) float64 {
	if x > 0 {
		return 1
	}
	return 0
}

func TestActivate(t *testing.T) {
	t.Run("float32", func(t *testing.T) { testActivate[float32](t, 2.5e-7) })
	t.Run("float64", func(t *testing.T) { testActivate[float64](t, 1e-14) })
}

func testActivate[T Float](t *testing.T, tol float64) {
	x := dense[T]()
	dy := dirty[T](len(x))
	for i := range dy {
		dy[i] = T(1 - 2*(i%2))
	}
	for a, f := range activations {
		y, dx := dirty[T](len(x)), dirty[T](len(x))
		want, dwant := make([]float64, len(x)), make([]float64, len(x))
		for i, v := range x {
			want[i] = f[0](float64(v))
			dwant[i] = f[1](float64(v)) * float64(dy[i])
			if v := float64(v); v*v > 1e30 { // x² may overflow in the derivatives
				dwant[i] = math.NaN()
			}
		}
		Activate(y, x, a)
		near(t, a.String(), y, want, tol)
		ActivateBackward(dx, x, dy, a)
		for i, w := range dwant {
			if !math.IsNaN(w) {
				near(t, fmt.Sprintf("derivative of %v at %v", a, x[i]), dx[i:i+1], dwant[i:i+1], 2*tol)
			}
		}
	}
}

func TestActivateRelativeNearZero(t *testing.T) {
	for _, a := range []Activation{GELU, GELUTanh, QuickGELU, SiLU, Tanh} {
		for _, x := range []float32{1e-30, -1e-7, 1e-3, -0.01, 0.3, -0.59, 0.61} {
			y := make([]float32, 1)
			Activate(y, []float32{x}, a)
			want := activations[a][0](float64(x))
			if math.Abs(float64(y[0])/want-1) > 3e-7 {
				t.Errorf("%v(%v) = %v, want %v", a, x, y[0], want)
			}
		}
	}
}

func TestActivateEdges(t *testing.T) {
	nan := float32(math.NaN())
	for a := range activations {
		y := []float32{1}
		Activate(y, []float32{nan}, a)
		if y[0] == y[0] {
			t.Errorf("%v(NaN) = %v", a, y[0])
		}
		ActivateBackward(y, []float32{1}, []float32{nan}, a)
		if y[0] == y[0] {
			t.Errorf("gradient NaN of %v became %v", a, y[0])
		}
		Activate(nil, []float32{}, a)
		ActivateBackward(nil, nil, []float32{}, a)
	}
}

func TestLeakyReLU(t *testing.T) {
	x := []float64{-2, -0.5, 0, 3, math.NaN()}
	y := make([]float64, len(x))
	LeakyReLU(y, x, 0.1)
	near(t, "y", y, []float64{-0.2, -0.05, 0, 3, math.NaN()}, 1e-15)
	LeakyReLUBackward(y, x, []float64{1, 2, 3, 4, 5}, 0.1)
	near(t, "dx", y, []float64{0.1, 0.2, 0.30000000000000004, 4, 5}, 1e-15)
}

func TestParseActivation(t *testing.T) {
	for name, want := range map[string]Activation{
		"gelu": GELU, "gelu_new": GELUTanh, "gelu_pytorch_tanh": GELUTanh, "quick_gelu": QuickGELU,
		"silu": SiLU, "swish": SiLU, "relu": ReLU, "tanh": Tanh, "sigmoid": Sigmoid,
	} {
		if got, err := ParseActivation(name); err != nil || got != want {
			t.Errorf("ParseActivation(%q) = %v, %v, want %v", name, got, err, want)
		}
	}
	if _, err := ParseActivation("mish"); err == nil {
		t.Error("an unknown name is no error")
	}
	if s := Activation(99).String(); s != "unknown" {
		t.Errorf("Activation(99) is %q", s)
	}
}
