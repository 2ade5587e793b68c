package op_test

import (
	"testing"

	"tessera/graph"
	"tessera/graph/op"
)

func TestArgmaxAndArgmin(t *testing.T) {
	for _, tt := range []struct {
		in, out    []int
		max, least []float64
	}{
		{[]int{5}, []int{1}, []float64{1}, []float64{0}},
		{[]int{1, 5}, []int{1}, []float64{1}, []float64{0}},
		{[]int{5, 1}, []int{5}, []float64{0, 0, 0, 0, 0}, []float64{0, 0, 0, 0, 0}},
	} {
		x := func(b *graph.Builder) *graph.Node { return b.Const([]float64{-1, 4, 0, -1, 4}, tt.in...) }
		expect(t, tt.out, tt.max, func(b *graph.Builder) *graph.Node { return b.Must(op.Argmax(x(b))) })
		expect(t, tt.out, tt.least, func(b *graph.Builder) *graph.Node { return b.Must(op.Argmin(x(b))) })
	}
}

func TestNearest(t *testing.T) {
	expect(t, []int{3}, []float64{1, 0, 2}, func(b *graph.Builder) *graph.Node {
		x := b.Const([]float64{1, 1, 0, -9, 2.6, 3}, 3, 2)
		return b.Must(op.Nearest(x, b.Const([]float64{0, 0, 1, 2, 3, 3, 3, 3}, 4, 2)))
	})
	expectError(t, func(b *graph.Builder) *graph.Node {
		return b.Must(op.Nearest(zeros(b, 2, 3), zeros(b, 4, 2)))
	}, "(2, 3)", "(4, 2)")
}

func TestStraightThrough(t *testing.T) {
	s := graph.NewScope(graph.Seed(1))
	x, y := s.Param("x", graph.Constant(5), 2), s.Param("y", graph.Constant(3), 2)
	p, err := graph.Compile(func(b *graph.Builder) {
		z := b.Must(op.StraightThrough(b.Param(x), b.Param(y)))
		b.Output("z", z)
		b.Minimize(b.Must(op.Sum(b.Must(op.Square(z)), false)))
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Run(nil); err != nil {
		t.Fatal(err)
	}
	if got := p.Output("z").Float32s(); got[0] != 3 || got[1] != 3 {
		t.Errorf("value %v, want that of y, 3", got)
	}
	want := map[*graph.Param]float32{x: 6, y: 0}
	for _, g := range p.Grads() {
		if got := g.Value.Float32s(); got[0] != want[g.Param] || got[1] != want[g.Param] {
			t.Errorf("gradient of %s is %v, want %v", g.Param.Name, got, want[g.Param])
		}
	}
	expectError(t, func(b *graph.Builder) *graph.Node {
		return b.Must(op.StraightThrough(zeros(b, 2), zeros(b, 2, 1)))
	}, "(2)", "(2, 1)")
}
