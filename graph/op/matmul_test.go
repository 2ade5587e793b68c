package op_test

import (
	"fmt"
	"testing"

	"tessera/graph"
	"tessera/graph/op"
)

// operand is the shape of a matrix with leading axes, stored transposed if t.
func operand(t bool, rows, cols int, lead ...int) []int {
	if t {
		rows, cols = cols, rows
	}
	return append(append([]int{}, lead...), rows, cols)
}

func TestMatMul(t *testing.T) {
	for _, ta := range []bool{false, true} {
		for _, tb := range []bool{false, true} {
			product := func(b *graph.Builder, x ...*graph.Node) *graph.Node {
				return b.Must(op.MatMul(x[0], x[1], ta, tb))
			}
			name := fmt.Sprintf("ta=%v tb=%v", ta, tb)
			checkGradients(t, name, graph.Normal(1), product, operand(ta, 3, 4), operand(tb, 4, 5))
			checkGradients(t, name, graph.Normal(1), product, operand(ta, 1, 9, 2, 2), operand(tb, 9, 2, 2, 2))
			checkGradients(t, name+" shared", graph.Normal(1), product, operand(ta, 3, 4, 2), operand(tb, 4, 1))
			checkGradients(t, name+" shared", graph.Normal(1), product, operand(ta, 2, 3, 3, 1), operand(tb, 3, 2))
		}
	}
	// (0 1; 2 3)², then the products with the transpose on either side.
	for _, tt := range []struct {
		ta, tb bool
		want   []float64
	}{
		{false, false, []float64{2, 3, 6, 11}},
		{true, false, []float64{4, 6, 6, 10}},
		{false, true, []float64{1, 3, 3, 13}},
		{true, true, []float64{2, 6, 3, 11}},
	} {
		expect(t, []int{2, 2}, tt.want, func(b *graph.Builder) *graph.Node {
			x := upTo(b, 2, 2)
			return b.Must(op.MatMul(x, x, tt.ta, tt.tb))
		})
	}
	// One matrix for both of a batch, kept transposed.
	expect(t, []int{2, 1, 1}, []float64{2, 8}, func(b *graph.Builder) *graph.Node {
		return b.Must(op.MatMul(upTo(b, 2, 2, 1), b.Const([]float64{1, 2}, 1, 2), true, true))
	})
}

func TestMatMulErrors(t *testing.T) {
	for _, tt := range []struct {
		name   string
		a, b   []int
		ta, tb bool
		want   []string
	}{
		{"inner", []int{2, 77, 64}, []int{2, 77, 64}, false, false, []string{"(2, 77, 64) × (2, 77, 64)", "inner sizes 64 and 77 differ"}},
		{"transposed", []int{3, 4}, []int{3, 5}, true, true, []string{"(3, 4)ᵀ × (3, 5)ᵀ", "inner sizes 3 and 5"}},
		{"leading", []int{2, 3, 4}, []int{3, 4, 5}, false, false, []string{"leading axes differ"}},
		{"vector", []int{4}, []int{4, 5}, false, false, []string{"want matrices"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			expectError(t, func(b *graph.Builder) *graph.Node {
				return b.Must(op.MatMul(zeros(b, tt.a...), zeros(b, tt.b...), tt.ta, tt.tb))
			}, tt.want...)
		})
	}
}
