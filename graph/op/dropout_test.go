package op_test

import (
	"slices"
	"testing"

	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/graph/op"
)

// TestDropoutGradients uses a noise that differences see unchanged.
func TestDropoutGradients(t *testing.T) {
	noise := &op.Noise{Seed: 1, Step: 2}
	checkGradients(t, "dropout", graph.Normal(1), func(b *graph.Builder, x ...*graph.Node) *graph.Node {
		return b.Must(op.Dropout(x[0], 0.4, noise, 3))
	}, []int{5, 7})
	checkGradients(t, "drop_path", graph.Normal(1), func(b *graph.Builder, x ...*graph.Node) *graph.Node {
		return b.Must(op.DropPath(x[0], 0.4, noise, 3))
	}, []int{9, 2, 3})
}

func TestDropoutFollowsNoise(t *testing.T) {
	const n = 200
	for name, drop := range map[string]func(*graph.Node, float64, *op.Noise, uint64) (*graph.Node, error){
		"dropout": op.Dropout, "drop_path": op.DropPath,
	} {
		t.Run(name, func(t *testing.T) {
			noise := &op.Noise{}
			p, err := graph.Compile(func(b *graph.Builder) {
				x := b.Const(slices.Repeat([]float64{1}, 2*n), n, 2)
				b.Output("a", b.Must(drop(x, 0.5, noise, 0)))
				b.Output("b", b.Must(drop(x, 0.5, noise, 1)))
			}, &graph.Options{Dtype: tensor.Float64})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			var seen [][]float64
			run := func(seed, step uint64) {
				noise.Seed, noise.Step = seed, step
				if err := p.Run(nil); err != nil {
					t.Fatal(err)
				}
				for _, out := range []string{"a", "b"} {
					seen = append(seen, slices.Clone(p.Output(out).Float64s()))
				}
			}
			run(1, 1)
			run(1, 2)
			run(2, 1)
			for i, x := range seen {
				for _, y := range seen[:i] {
					if slices.Equal(x, y) {
						t.Fatal("noise of another seed, step or stream is the same")
					}
				}
			}
			run(1, 1)
			if !slices.Equal(seen[0], seen[6]) || !slices.Equal(seen[1], seen[7]) {
				t.Error("the same seed and step give other noise")
			}
		})
	}
}

func TestDropoutOfNothing(t *testing.T) {
	expect(t, []int{2}, []float64{0, 1}, func(b *graph.Builder) *graph.Node {
		x := upTo(b, 2)
		if y := b.Must(op.Dropout(x, 0, nil, 0)); y != x {
			t.Error("Dropout of 0 is not x itself")
		}
		if y := b.Must(op.DropPath(x, 0, nil, 0)); y != x {
			t.Error("DropPath of 0 is not x itself")
		}
		return x
	})
	for _, p := range []float64{-0.1, 1, 2} {
		expectError(t, func(b *graph.Builder) *graph.Node {
			return b.Must(op.Dropout(zeros(b, 2), p, &op.Noise{}, 0))
		}, "want at least 0 and less than 1")
	}
	expectError(t, func(b *graph.Builder) *graph.Node {
		return b.Must(op.DropPath(zeros(b, 2), 0.5, nil, 0))
	}, "source of noise")
}
