package op_test

import (
	"fmt"
	"testing"

	"tessera/graph"
	"tessera/graph/op"
)

func TestActivate(t *testing.T) {
	for a := op.Identity; a.Valid(); a++ {
		checkGradients(t, a.String(), away, func(b *graph.Builder, x ...*graph.Node) *graph.Node {
			return b.Must(op.Activate(x[0], a))
		}, []int{3, 5})
	}
	checkGradients(t, "leaky_relu", away, func(b *graph.Builder, x ...*graph.Node) *graph.Node {
		return b.Must(op.LeakyReLU(x[0], 0.2))
	}, []int{3, 5})

	expect(t, []int{2, 2}, []float64{0, 0, 0, 1}, func(b *graph.Builder) *graph.Node {
		return b.Must(op.Activate(b.Const([]float64{-2, -1, 0, 1}, 2, 2), op.ReLU))
	})
	expect(t, []int{2, 1}, []float64{-1, 3}, func(b *graph.Builder) *graph.Node {
		return b.Must(op.LeakyReLU(b.Const([]float64{-2, 3}, 2, 1), 0.5))
	})
	expectError(t, func(b *graph.Builder) *graph.Node {
		return b.Must(op.Activate(zeros(b, 1), 99))
	}, "unknown activation 99")
}

func TestParseActivation(t *testing.T) {
	if a, err := op.ParseActivation("gelu_new"); err != nil || a != op.GELUTanh {
		t.Errorf(`ParseActivation("gelu_new") = %v, %v`, a, err)
	}
	if _, err := op.ParseActivation("Gelu"); err == nil {
		t.Error(`"Gelu" is accepted`)
	}
}

func BenchmarkActivate(b *testing.B) {
	const n = 1 << 18
	for _, a := range []op.Activation{op.GELU, op.GELUTanh, op.QuickGELU} {
		b.Run(fmt.Sprintf("act=%v", a), func(b *testing.B) {
			perElement(b, n, func(b *graph.Builder, x *graph.Node) *graph.Node {
				return b.Must(op.Activate(x, a))
			}, n/256, 256)
		})
	}
}
