package graph_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"

	"tessera/graph"
	"tessera/graph/op"
)

// A fixed program runs without the tape machine and gives the same bytes.
func TestFixedProgramsGiveTheSameBytes(t *testing.T) {
	s := graph.NewScope(graph.Seed(1))
	w, bias, table := s.Param("w", graph.Normal(1), 40, 30), s.Param("b", graph.Normal(1), 40), s.Param("t", graph.Normal(1), 7, 30)
	build := func(b *graph.Builder) {
		x := b.Input("x", 3, 30)
		ids := b.Input("ids", 3)
		x = b.Add(x, b.Gather(b.Param(table), ids))
		y := b.Linear(x, b.Param(w), b.Param(bias), op.GELU)
		b.Output("y", b.Softmax(y))
		b.Output("table", b.Param(table))
	}
	rng := rand.New(rand.NewPCG(1, 1))
	var results [2][]float32
	for i, fixed := range []bool{false, true} {
		p, err := graph.Compile(build, &graph.Options{Fixed: fixed})
		if err != nil {
			t.Fatal(err)
		}
		if p.Output("y") != nil {
			t.Error("there is an output before the first run")
		}
		for run := range 3 {
			x := make([]float32, 90)
			for j := range x {
				x[j] = float32(rng.NormFloat64())
			}
			if run == 2 { // the same for both
				for j := range x {
					x[j] = float32(j%11) - 5
				}
			}
			if err := p.Run(graph.Values{"x": dense(x, 3, 30), "ids": dense([]float32{0, 6, 2}, 3)}); err != nil {
				t.Fatal(err)
			}
		}
		results[i] = append(slices.Clone(p.Output("y").Float32s()), p.Output("table").Float32s()...)
		err = p.Run(graph.Values{"x": dense(make([]float32, 90), 3, 30), "ids": dense([]float32{0, 7, 2}, 3)})
		if err == nil || !strings.Contains(err.Error(), "7") {
			t.Errorf("an id outside the table gave %v", err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	if !slices.Equal(results[0], results[1]) {
		t.Error("a fixed program gives other bytes")
	}
}

// A graph with an operation of Gorgonia's own runs on the tape machine.
func TestFixedProgramWithForeignOperation(t *testing.T) {
	p, err := graph.Compile(func(b *graph.Builder) {
		b.Output("y", b.Scale(b.Must(G.Neg(b.Input("x", 2))), 3))
	}, &graph.Options{Fixed: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(graph.Values{"x": dense([]float32{1, 2}, 2)}); err != nil {
		t.Fatal(err)
	}
	if y := p.Output("y").Float32s(); y[0] != -3 || y[1] != -6 {
		t.Errorf("y = %v, want [-3 -6]", y)
	}
}

// What a linear layer takes for constant cannot be updated.
func TestUpdateOfPackedWeight(t *testing.T) {
	s := graph.NewScope(graph.Seed(1))
	frozen := s.Sub("a").Frozen().Param("w", graph.Ones, 1, 2)
	_, err := graph.Compile(func(b *graph.Builder) {
		y := b.Linear(b.Input("x", 1, 2), b.Param(frozen), nil, op.Identity)
		b.Update(frozen, b.Expand(y, 1, 2))
		b.Output("y", y)
	}, &graph.Options{Training: true})
	if err == nil || !strings.Contains(err.Error(), "a.w") {
		t.Errorf("an update of a packed weight gave %v", err)
	}
}
