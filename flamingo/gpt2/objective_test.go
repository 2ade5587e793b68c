package gpt2

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"tessera/graph"
)

func TestObjective(t *testing.T) {
	m := tiny(t)
	ids := randomIDs(rand.New(rand.NewPCG(1, 2)), 7, m.VocabSize)
	scores := full(t, m, ids)
	want := 0.0
	for i, id := range ids[1:] {
		row := scores[i*m.VocabSize : (i+1)*m.VocabSize]
		total := 0.0
		for _, v := range row {
			total += math.Exp(float64(v))
		}
		want += (math.Log(total) - float64(row[id])) / 6
	}
	prog, err := graph.Compile(func(b *graph.Builder) { b.Output("loss", Objective{m, 7}.Loss(b, 1)) }, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer prog.Close()
	x := make([]float32, 7)
	for i, id := range ids {
		x[i] = float32(id)
	}
	if err := prog.Run(graph.Values{"ids": tensor.New(tensor.WithShape(1, 7), tensor.WithBacking(x))}); err != nil {
		t.Fatal(err)
	}
	if got := prog.Scalar("loss"); math.Abs(got-want) > 1e-4*want {
		t.Errorf("loss %g, want %g", got, want)
	}
	_, err = graph.Compile(func(b *graph.Builder) { b.Minimize(Objective{m, 1}.Loss(b, 1)) }, nil)
	if err == nil || !strings.Contains(err.Error(), "texts of 1 tokens, want 2 or more") {
		t.Errorf("one token: %v", err)
	}
}
