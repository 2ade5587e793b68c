package op_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/graph/graphtest"
	"tessera/graph/op"
)

// builder adds nodes to a graph and returns the one of interest.
type builder = func(b *graph.Builder) *graph.Node

// run compiles a graph in float64 and returns the value of a node.
func run(build builder) (*tensor.Dense, error) {
	p, err := graph.Compile(func(b *graph.Builder) { b.Output("y", build(b)) }, &graph.Options{Dtype: tensor.Float64})
	if err != nil {
		return nil, err
	}
	defer p.Close()
	if err := p.Run(nil); err != nil {
		return nil, err
	}
	return p.Output("y"), nil
}

// expect fails unless a node has a shape and values.
func expect(t *testing.T, shape []int, want []float64, build builder) {
	t.Helper()
	y, err := run(build)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(y.Shape(), shape) {
		t.Errorf("shape %v, want %v", y.Shape(), shape)
	}
	got := y.Float64s()
	if !slices.EqualFunc(got, want, func(g, w float64) bool {
		return g == w || math.IsNaN(g) && math.IsNaN(w) || math.Abs(g-w) < 1e-9
	}) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// expectError fails unless building or running fails with a message that
// contains all of want.
func expectError(t *testing.T, build builder, want ...string) {
	t.Helper()
	_, err := run(build)
	for _, w := range want {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("error %v, want %q", err, w)
		}
	}
}

// zeros is a constant of a shape.
func zeros(b *graph.Builder, shape ...int) *graph.Node {
	return b.Const(make([]float64, tensor.Shape(shape).TotalSize()), shape...)
}

// upTo is a constant of 0, 1, 2, … in a shape.
func upTo(b *graph.Builder, shape ...int) *graph.Node {
	v := make([]float64, tensor.Shape(shape).TotalSize())
	for i := range v {
		v[i] = float64(i)
	}
	return b.Const(v, shape...)
}

// away draws numbers of magnitude 0.5 to 1.5: far from zero for divisors.
func away(r *rand.Rand, dst []float32) {
	for i := range dst {
		dst[i] = 0.5 + r.Float32()
		if r.IntN(2) == 0 {
			dst[i] = -dst[i]
		}
	}
}

// positive draws numbers from 0.5 to 1.5.
func positive(r *rand.Rand, dst []float32) {
	for i := range dst {
		dst[i] = 0.5 + r.Float32()
	}
}

// checkGradients checks those of f at random arguments of the given shapes.
func checkGradients(t *testing.T, name string, init graph.Init, f func(b *graph.Builder, x ...*graph.Node) *graph.Node, shapes ...[]int) {
	t.Helper()
	t.Run(fmt.Sprint(name, shapes), func(t *testing.T) {
		s := graph.NewScope(graph.Seed(1))
		for i, shape := range shapes {
			s.Param(fmt.Sprint("x", i), init, shape...)
		}
		graphtest.Grad(t, s.Params(), func(b *graph.Builder) *graph.Node {
			var x []*graph.Node
			for p := range s.Params().All() {
				x = append(x, b.Param(p))
			}
			return f(b, x...)
		})
	})
}

func TestReshape(t *testing.T) {
	for _, tt := range []struct{ to, want []int }{
		{[]int{6}, []int{6}},
		{[]int{3, 2}, []int{3, 2}},
		{[]int{-1}, []int{6}},
		{[]int{1, -1, 3}, []int{1, 2, 3}},
	} {
		expect(t, tt.want, []float64{0, 1, 2, 3, 4, 5}, func(b *graph.Builder) *graph.Node {
			return b.Must(op.Reshape(upTo(b, 2, 3), tt.to...))
		})
		checkGradients(t, "reshape", graph.Normal(1), func(b *graph.Builder, x ...*graph.Node) *graph.Node {
			return b.Must(op.Reshape(x[0], tt.to...))
		}, []int{2, 3})
	}
	for _, to := range [][]int{{}, {5}, {-1, 4}, {-1, -1}, {-2, -3}, {-1, 0}} {
		expectError(t, func(b *graph.Builder) *graph.Node {
			return b.Must(op.Reshape(upTo(b, 2, 3), to...))
		}, fmt.Sprint(tensor.Shape(to)))
	}
}

func TestTranspose(t *testing.T) {
	expect(t, []int{3, 2}, []float64{0, 3, 1, 4, 2, 5}, func(b *graph.Builder) *graph.Node {
		return b.Must(op.Transpose(upTo(b, 2, 3), 1, 0))
	})
	for _, axes := range [][]int{{0, 1, 2}, {2, 0, 1}, {1, 2, 0}, {0, 2, 1}} {
		checkGradients(t, fmt.Sprint("transpose ", axes), graph.Normal(1), func(b *graph.Builder, x ...*graph.Node) *graph.Node {
			return b.Must(op.Transpose(x[0], axes...))
		}, []int{2, 3, 5})
	}
	for _, axes := range [][]int{{}, {0}, {0, 0}, {0, 2}, {-1, 0}, {0, 1, 2}} {
		expectError(t, func(b *graph.Builder) *graph.Node {
			return b.Must(op.Transpose(upTo(b, 2, 3), axes...))
		}, fmt.Sprint(axes), "(2, 3)")
	}
}

func TestConcat(t *testing.T) {
	expect(t, []int{2, 5}, []float64{0, 1, 0, 1, 2, 2, 3, 3, 4, 5}, func(b *graph.Builder) *graph.Node {
		return b.Must(op.Concat(1, upTo(b, 2, 2), upTo(b, 2, 3)))
	})
	concat := func(axis int) func(b *graph.Builder, x ...*graph.Node) *graph.Node {
		return func(b *graph.Builder, x ...*graph.Node) *graph.Node { return b.Must(op.Concat(axis, x...)) }
	}
	checkGradients(t, "concat 0", graph.Normal(1), concat(0), []int{2, 3}, []int{1, 3}, []int{4, 3})
	checkGradients(t, "concat 1", graph.Normal(1), concat(1), []int{2, 3, 2}, []int{2, 1, 2})
	checkGradients(t, "concat 2", graph.Normal(1), concat(2), []int{2, 3, 2}, []int{2, 3, 5})
	checkGradients(t, "concat of one", graph.Normal(1), concat(0), []int{2})
	expectError(t, func(b *graph.Builder) *graph.Node { return concat(0)(b) }, "nothing")
	expectError(t, func(b *graph.Builder) *graph.Node { return concat(1)(b, upTo(b, 3)) }, "no axis 1")
	expectError(t, func(b *graph.Builder) *graph.Node { return concat(1)(b, upTo(b, 2, 2), upTo(b, 3, 2)) }, "(2, 2)", "(3, 2)")
	expectError(t, func(b *graph.Builder) *graph.Node { return concat(0)(b, upTo(b, 2), upTo(b, 2, 1)) }, "(2)", "(2, 1)")
}

func TestSlice(t *testing.T) {
	expect(t, []int{2, 1, 2}, []float64{2, 3, 8, 9}, func(b *graph.Builder) *graph.Node {
		return b.Must(op.Slice(upTo(b, 2, 3, 2), 1, 1, 2))
	})
	for _, tt := range [][3]int{{0, 0, 2}, {0, 1, 2}, {1, 0, 3}, {1, 2, 3}, {2, 1, 4}} {
		checkGradients(t, fmt.Sprint("slice ", tt), graph.Normal(1), func(b *graph.Builder, x ...*graph.Node) *graph.Node {
			return b.Must(op.Slice(x[0], tt[0], tt[1], tt[2]))
		}, []int{2, 3, 4})
	}
	for _, tt := range [][3]int{{2, 0, 1}, {-1, 0, 1}, {0, -1, 1}, {0, 2, 1}, {1, 0, 4}} {
		expectError(t, func(b *graph.Builder) *graph.Node {
			return b.Must(op.Slice(upTo(b, 2, 3), tt[0], tt[1], tt[2]))
		}, "(2, 3)")
	}
}

func TestExpand(t *testing.T) {
	expect(t, []int{2, 2, 3}, []float64{0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1}, func(b *graph.Builder) *graph.Node {
		return b.Must(op.Expand(upTo(b, 2, 1), 2, 2, 3))
	})
	for _, tt := range []struct{ from, to []int }{
		{[]int{1}, []int{3, 2}}, {[]int{5}, []int{5}}, {[]int{3, 1, 4}, []int{2, 3, 5, 4}}, {[]int{3, 1}, []int{3, 7}},
	} {
		checkGradients(t, fmt.Sprint("expand to ", tt.to), graph.Normal(1), func(b *graph.Builder, x ...*graph.Node) *graph.Node {
			return b.Must(op.Expand(x[0], tt.to...))
		}, tt.from)
	}
	for _, to := range [][]int{{}, {3}, {2}, {2, 2}, {3, 1}, {1, 3}} {
		expectError(t, func(b *graph.Builder) *graph.Node {
			return b.Must(op.Expand(upTo(b, 2, 3), to...))
		}, "(2, 3)", fmt.Sprint(tensor.Shape(to)))
	}
}

func TestStopGradient(t *testing.T) {
	checkGradients(t, "x·stop(x) has the gradient of c·x", graph.Normal(1), func(b *graph.Builder, x ...*graph.Node) *graph.Node {
		c := b.Must(op.StopGradient(b.Const([]float64{1, 2, 3}, 3)))
		return b.Must(op.Mul(x[0], c))
	}, []int{3})
	s := graph.NewScope(graph.Seed(1))
	x := s.Param("x", graph.Constant(3), 1)
	p, err := graph.Compile(func(b *graph.Builder) {
		b.Minimize(b.Must(op.Mul(b.Param(x), b.Must(op.StopGradient(b.Param(x))))))
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Run(nil); err != nil {
		t.Fatal(err)
	}
	if got := p.Grads()[0].Value.Float32s()[0]; got != 3 {
		t.Errorf("gradient of x·stop(x) at 3 is %v, want 3", got)
	}
}

func TestEmptyInputs(t *testing.T) {
	for _, tt := range []struct {
		name  string
		shape []int
		want  []float64
		build builder
	}{
		{"reshape", []int{3, 0}, nil, func(b *graph.Builder) *graph.Node { return b.Must(op.Reshape(zeros(b, 0, 3), 3, 0)) }},
		{"transpose", []int{3, 0}, nil, func(b *graph.Builder) *graph.Node { return b.Must(op.Transpose(zeros(b, 0, 3), 1, 0)) }},
		{"slice", []int{2, 0}, nil, func(b *graph.Builder) *graph.Node { return b.Must(op.Slice(upTo(b, 2, 3), 1, 3, 3)) }},
		{"concat", []int{1, 2}, []float64{0, 1}, func(b *graph.Builder) *graph.Node {
			return b.Must(op.Concat(1, zeros(b, 1, 0), upTo(b, 1, 2)))
		}},
		{"expand", []int{0, 2}, nil, func(b *graph.Builder) *graph.Node { return b.Must(op.Expand(upTo(b, 2), 0, 2)) }},
		{"sum", []int{2}, []float64{0, 0}, func(b *graph.Builder) *graph.Node { return b.Must(op.Sum(zeros(b, 0, 2), false, 0)) }},
		{"mean", []int{1}, []float64{math.NaN()}, func(b *graph.Builder) *graph.Node { return b.Must(op.Mean(zeros(b, 0, 2), false)) }},
		{"gather", []int{0, 2}, nil, func(b *graph.Builder) *graph.Node { return b.Must(op.Gather(zeros(b, 3, 2), zeros(b, 0))) }},
		{"conv2d", []int{0, 1, 2, 2}, nil, func(b *graph.Builder) *graph.Node {
			return b.Must(op.Conv2D(zeros(b, 0, 1, 3, 3), zeros(b, 1, 1, 2, 2), nil, 1, 0))
		}},
		{"cross_entropy", []int{1}, []float64{0}, func(b *graph.Builder) *graph.Node {
			return b.Must(op.CrossEntropy(zeros(b, 0, 2), zeros(b, 0, 2)))
		}},
		{"argmax", []int{0}, nil, func(b *graph.Builder) *graph.Node { return b.Must(op.Argmax(zeros(b, 0, 2))) }},
	} {
		t.Run(tt.name, func(t *testing.T) { expect(t, tt.shape, tt.want, tt.build) })
	}
}
