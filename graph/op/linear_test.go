package op_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/graph/op"
)

func TestLinear(t *testing.T) {
	for _, act := range []op.Activation{op.Identity, op.GELU} {
		for _, x := range [][]int{{4, 3}, {2, 5, 3}, {1, 3}, {3}} {
			checkGradients(t, fmt.Sprint("bias ", act), graph.Normal(1), func(b *graph.Builder, x ...*graph.Node) *graph.Node {
				return b.Must(op.Linear(x[0], x[1], x[2], op.LinearConfig{Act: act}))
			}, x, []int{7, 3}, []int{7})
			checkGradients(t, fmt.Sprint("no bias ", act), graph.Normal(1), func(b *graph.Builder, x ...*graph.Node) *graph.Node {
				return b.Must(op.Linear(x[0], x[1], nil, op.LinearConfig{Act: act}))
			}, x, []int{1, 3})
		}
	}
	expect(t, []int{2, 1, 2}, []float64{8, 0, 26, 0}, func(b *graph.Builder) *graph.Node {
		w := b.Const([]float64{1, 2, 3, -1, -1, -1}, 2, 3)
		return b.Must(op.Linear(upTo(b, 2, 1, 3), w, b.Const([]float64{0, 1}, 2), op.LinearConfig{Act: op.ReLU}))
	})
}

func TestLinearErrors(t *testing.T) {
	for _, tt := range []struct {
		name          string
		x, w          []int
		bias          []int
		act           op.Activation
		want, further string
	}{
		{"inner sizes", []int{4, 3}, []int{7, 5}, nil, op.Identity, "(4, 3) × (7, 5)ᵀ", "(…, 5)"},
		{"weight", []int{4, 3}, []int{7, 3, 1}, nil, op.Identity, "(7, 3, 1)", "(N, K)"},
		{"bias", []int{4, 3}, []int{7, 3}, []int{3}, op.Identity, "(3)", "(7)"},
		{"activation", []int{4, 3}, []int{7, 3}, nil, -1, "activation -1", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			expectError(t, func(b *graph.Builder) *graph.Node {
				var bias *graph.Node
				if tt.bias != nil {
					bias = zeros(b, tt.bias...)
				}
				return b.Must(op.Linear(zeros(b, tt.x...), zeros(b, tt.w...), bias, op.LinearConfig{Act: tt.act}))
			}, tt.want, tt.further)
		})
	}
}

// TestLinearFrozen checks the gradients of some arguments where others have
// none.
func TestLinearFrozen(t *testing.T) {
	for only := range 3 {
		checkGradients(t, fmt.Sprint("only ", only), graph.Normal(1), func(b *graph.Builder, x ...*graph.Node) *graph.Node {
			in := []*graph.Node{upTo(b, 2, 3), upTo(b, 4, 3), upTo(b, 4)}
			in[only] = x[0]
			return b.Must(op.Linear(in[0], in[1], in[2], op.LinearConfig{Act: op.Tanh}))
		}, [][]int{{2, 3}, {4, 3}, {4}}[only])
	}
}

// TestLinearFloat32 compares single with double precision, gradients included.
func TestLinearFloat32(t *testing.T) {
	const rows, width, out = 130, 70, 33
	rng := rand.New(rand.NewPCG(1, 2))
	values := map[string][]float32{}
	value := func(name string, shape ...int) *tensor.Dense {
		if values[name] == nil {
			values[name] = make([]float32, tensor.Shape(shape).TotalSize())
			graph.Normal(0.5)(rng, values[name])
		}
		return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(values[name]))
	}
	grads := func(dt tensor.Dtype) []graph.Grad {
		s := graph.NewScope(graph.Seed(1))
		w, bias := s.Param("w", graph.Normal(0.1), out, width), s.Param("b", graph.Normal(1), out)
		if err := s.Params().Convert(dt); err != nil {
			t.Fatal(err)
		}
		p, err := graph.Compile(func(b *graph.Builder) {
			x, weight := b.Input("x", rows, width), b.Input("weight", rows, out)
			y := b.Must(op.Linear(x, b.Param(w), b.Param(bias), op.LinearConfig{Act: op.GELU}))
			b.Minimize(b.Must(op.Inner(y, weight)))
		}, &graph.Options{Training: true, Dtype: dt})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Run(graph.Values{"x": value("x", rows, width), "weight": value("weight", rows, out)}); err != nil {
			t.Fatal(err)
		}
		return p.Grads()
	}
	single, double := grads(tensor.Float32), grads(tensor.Float64)
	for i, g := range double {
		for j, want := range g.Value.Float64s() {
			if got := float64(single[i].Value.Float32s()[j]); math.Abs(got-want) > 1e-5*max(1, math.Abs(want)) {
				t.Fatalf("gradient %d of %s = %v, want %v", j, g.Param.Name, got, want)
			}
		}
	}
}

// perElement times one operation forward and backward on x of a shape.
func perElement(b *testing.B, n int, f func(b *graph.Builder, x *graph.Node) *graph.Node, shape ...int) {
	b.Helper()
	p := trainable(b, f, shape...)
	for b.Loop() {
		if err := p.Run(nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/elem")
}

// trainable compiles the sum of an operation's result together with its
// gradient by x.
func trainable(b *testing.B, f func(b *graph.Builder, x *graph.Node) *graph.Node, shape ...int) *graph.Program {
	b.Helper()
	s := graph.NewScope(graph.Seed(1))
	x := s.Param("x", graph.Normal(1), shape...)
	p, err := graph.Compile(func(b *graph.Builder) {
		b.Minimize(b.Must(op.Sum(f(b, b.Param(x)), false)))
	}, &graph.Options{Training: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { p.Close() })
	return p
}

func BenchmarkLinear(b *testing.B) {
	for _, c := range []struct{ rows, width, out int }{{2080, 192, 768}, {2080, 192, 192}, {64, 192, 10}} {
		b.Run(fmt.Sprintf("rows=%d/width=%d/out=%d", c.rows, c.width, c.out), func(b *testing.B) {
			p := trainable(b, func(b *graph.Builder, x *graph.Node) *graph.Node {
				return b.Must(op.Linear(x, zeros(b, c.out, c.width), nil, op.LinearConfig{Act: op.GELU}))
			}, c.rows, c.width)
			for b.Loop() {
				if err := p.Run(nil); err != nil {
					b.Fatal(err)
				}
			}
			flops := 4 * float64(c.rows*c.width*c.out) // forward and the gradient of x
			b.ReportMetric(flops*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}

// TestRunsOverwrite runs a graph twice: what buffers held before must not show.
func TestRunsOverwrite(t *testing.T) {
	s := graph.NewScope(graph.Seed(1))
	x, w := s.Param("x", graph.Normal(1), 2, 3, 4), s.Param("w", graph.Normal(1), 3, 4)
	v, g := s.Param("v", graph.Normal(1), 4), s.Param("g", graph.Normal(1), 4)
	p, err := graph.Compile(func(b *graph.Builder) {
		y := b.Must(op.LayerNorm(b.Param(x), b.Param(v), b.Param(g), 1e-5))
		y = b.Must(op.Attention(y, b.Param(x), y, excluding(b, []int{0, 1, 2}, 3, 3), op.AttentionConfig{
			Heads: 2, Dropout: 0.2, Noise: &op.Noise{}}))
		y = b.Must(op.MatMul(y, b.Param(w), true, false)) // (2, 4, 4)
		y = b.Must(op.Linear(y, b.Param(w), nil, op.LinearConfig{Act: op.GELU}))
		y = b.Must(op.L2Normalize(b.Must(op.Softmax(y, nil)), 1e-6))
		y = b.Must(op.Dropout(b.Must(op.LogSoftmax(y)), 0.2, &op.Noise{}, 1))
		b.Minimize(b.Must(op.Inner(y, y)))
	}, &graph.Options{Training: true})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var first [][]float32
	for run := range 3 {
		if err := p.Run(nil); err != nil {
			t.Fatal(err)
		}
		for i, g := range p.Grads() {
			v := g.Value.Float32s()
			if run == 0 {
				first = append(first, slices.Clone(v))
			} else if !slices.Equal(v, first[i]) {
				t.Errorf("run %d gives another gradient of %s", run, g.Param.Name)
			}
		}
	}
}
