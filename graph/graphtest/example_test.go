package graphtest_test

import (
	"fmt"
	"testing"

	"tessera/graph"
	"tessera/graph/graphtest"
	"tessera/layers"
)

// printed stands for the *testing.T of a test.
type printed struct{ testing.TB }

func (printed) Helper()                   {}
func (printed) Errorf(f string, a ...any) { fmt.Printf(f+"\n", a...) }
func (printed) Fatal(a ...any)            { fmt.Println(a...) }

func ExampleGrad() {
	var t printed
	s := graph.NewScope(graph.Seed(1))
	linear := layers.NewLinear(s.Sub("fc"), 3, 2, graph.Normal(1))
	graphtest.Grad(t, s.Params(), func(b *graph.Builder) *graph.Node {
		return linear.Forward(b, b.Const([]float64{1, 2, 3}, 1, 3))
	})
	fmt.Println("checked", s.Params().Size(), "derivatives")
	// Output: checked 8 derivatives
}
