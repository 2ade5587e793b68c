package graph_test

import (
	"strings"
	"testing"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/graph/op"
)

func dense(v []float32, shape ...int) *tensor.Dense {
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(v))
}

func TestGraphsShareParameters(t *testing.T) {
	s := graph.NewScope(graph.Seed(1))
	w := s.Param("w", graph.Ones, 1, 2)
	compile := func(n int) *graph.Program {
		p, err := graph.Compile(func(b *graph.Builder) {
			b.Output("y", b.Linear(b.Input("x", n, 2), b.Param(w), nil, op.Identity))
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	one, two := compile(1), compile(2)
	w.Float32s()[1] = 10
	if err := one.Run(graph.Values{"x": dense([]float32{1, 2}, 1, 2)}); err != nil {
		t.Fatal(err)
	}
	if err := two.Run(graph.Values{"x": dense([]float32{1, 2, 3, 4}, 2, 2)}); err != nil {
		t.Fatal(err)
	}
	if got := one.Output("y").Float32s()[0]; got != 21 {
		t.Errorf("batch of one gave %v, want 21", got)
	}
	if got := two.Output("y").Float32s(); got[0] != 21 || got[1] != 43 {
		t.Errorf("batch of two gave %v, want [21 43]", got)
	}
}

func TestGradientsDoNotAddUp(t *testing.T) {
	s := graph.NewScope(graph.Seed(1))
	w := s.Param("w", graph.Constant(3), 1)
	frozen := s.Sub("lm").Frozen().Param("v", graph.Constant(2), 1)
	p, err := graph.Compile(func(b *graph.Builder) {
		x := b.Param(w)
		b.Minimize(b.Mul(b.Add(b.Square(x), x), b.Param(frozen)))
	}, &graph.Options{Training: true})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := p.Run(nil); err != nil {
			t.Fatal(err)
		}
		g := p.Grads()
		if len(g) != 1 || g[0].Param != w || g[0].Value.Float32s()[0] != 14 {
			t.Fatalf("gradients %v, want one of 14", g)
		}
	}
}

func TestErrors(t *testing.T) {
	s := graph.NewScope(graph.Seed(1))
	w := s.Param("w", graph.Ones, 4, 3)
	for _, tt := range []struct {
		name  string
		build func(b *graph.Builder)
		want  string
	}{
		{"shapes do not fit", func(b *graph.Builder) {
			b.In("layers.3").MatMul(b.Input("x", 2, 5), b.Param(w))
		}, "graph: layers.3: MatMul (2, 5) × (4, 3)"},
		{"an input of two shapes", func(b *graph.Builder) {
			b.Input("x", 2)
			b.Input("x", 3)
		}, `"x" is declared with shapes (2) and (3)`},
		{"an output twice", func(b *graph.Builder) {
			x := b.Input("x", 2)
			b.Output("y", x)
			b.Output("y", x)
		}, `"y" is declared twice`},
		{"an unexpected shape", func(b *graph.Builder) {
			b.In("head").Expect(b.Input("x", 2, 3), 2, 4)
		}, "graph: head: Expect: shape (2, 3), want (2, 4)"},
		{"a loss of many numbers", func(b *graph.Builder) { b.Minimize(b.Input("x", 2)) }, "not a single number"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := graph.Compile(tt.build, nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want one with %q", err, tt.want)
			}
			var ge *graph.Error
			if !errors.As(err, &ge) {
				t.Errorf("%T is no *graph.Error", err)
			}
		})
	}
}

func TestRunChecksInputs(t *testing.T) {
	p, err := graph.Compile(func(b *graph.Builder) { b.Output("y", b.Scale(b.Input("x", 2, 1), 2)) }, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, want string
		in         graph.Values
	}{
		{"missing", `no value for input "x"`, nil},
		{"unknown", `there is no input "z"`, graph.Values{"x": dense([]float32{1, 2}, 2, 1), "z": dense([]float32{1}, 1)}},
		{"misshapen", `input "x" has shape (2), want (2, 1)`, graph.Values{"x": dense([]float32{1, 2}, 2)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := p.Run(tt.in); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestScopeReportsEveryFault(t *testing.T) {
	src := graph.NewTensors("model.safetensors", map[string]graph.Lazy{
		"a.weight": {Shape: []int{2, 3}, Read: func() ([]float32, error) { return make([]float32, 6), nil }},
		"b.weight": {Shape: []int{2, 3}, Read: func() ([]float32, error) { return make([]float32, 6), nil }},
		"extra":    {Shape: []int{1}, Read: func() ([]float32, error) { return make([]float32, 1), nil }},
	})
	s := graph.NewScope(src)
	s.Sub("a").Param("weight", graph.Zeros, 2, 3)
	s.Sub("a").Param("weight", graph.Zeros, 2, 3)
	s.Sub("b").Param("weight", graph.Zeros, 3, 3)
	s.Param("missing", graph.Zeros, 1)
	err := s.Err()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"a.weight is declared twice",
		`model.safetensors: tensor "b.weight" has shape (2, 3), want (3, 3)`,
		`model.safetensors: no tensor "missing"`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
	if u := src.Unused(); len(u) != 1 || u[0] != "extra" {
		t.Errorf("unused %v, want [extra]", u)
	}
}

func TestInitialValuesIgnoreOrder(t *testing.T) {
	one, two := graph.NewScope(graph.Seed(1)), graph.NewScope(graph.Seed(1))
	a := one.Param("x", graph.Normal(1), 3)
	two.Param("y", graph.Normal(1), 5)
	b := two.Param("x", graph.Normal(1), 3)
	for i, v := range a.Float32s() {
		if v != b.Float32s()[i] {
			t.Fatalf("values %v and %v differ", a.Float32s(), b.Float32s())
		}
	}
}

func TestUpdateWritesBack(t *testing.T) {
	s := graph.NewScope(graph.Seed(1))
	mean := s.Frozen().Param("mean", graph.Zeros, 1)
	w := s.Param("w", graph.Ones, 1)
	build := func(b *graph.Builder) {
		x := b.Input("x", 1)
		b.Update(mean, b.Add(b.Param(mean), x))
		b.Minimize(b.Mul(b.Param(w), x))
	}
	for _, training := range []bool{true, false} {
		p, err := graph.Compile(build, &graph.Options{Training: training})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := p.Run(graph.Values{"x": dense([]float32{5}, 1)}); err != nil {
				t.Fatal(err)
			}
		}
		if got := mean.Float32s()[0]; got != 10 {
			t.Errorf("training %v: mean %v, want 10", training, got)
		}
	}
}

func TestMemoryStaysOverManyRuns(t *testing.T) {
	s := graph.NewScope(graph.Seed(1))
	w := s.Param("w", graph.Normal(1), 8, 8)
	p, err := graph.Compile(func(b *graph.Builder) {
		x := b.Input("x", 4, 8)
		for range 6 {
			x = b.Add(x, b.Linear(x, b.Param(w), nil, op.GELU))
		}
		b.Minimize(b.Mean(b.Square(x)))
	}, &graph.Options{Training: true})
	if err != nil {
		t.Fatal(err)
	}
	u := p.Usage()
	if u.Buffers >= u.Results {
		t.Errorf("%d bytes of buffers for %d bytes of results: none is shared", u.Buffers, u.Results)
	}
	if want := int64(6 * 2 * 4 * 8 * 8); u.FLOPs != want {
		t.Errorf("%d operations in six products of 4×8 by 8×8, want %d", u.FLOPs, want)
	}
	in := graph.Values{"x": dense(make([]float32, 32), 4, 8)}
	run := func(n int) uint64 {
		for range n {
			if err := p.Run(in); err != nil {
				t.Fatal(err)
			}
		}
		return heapInUse()
	}
	before := run(100)
	if after := run(10_000); after > before+1<<20 {
		t.Errorf("heap grew from %d to %d bytes over 10,000 runs", before, after)
	}
}
