package clip

import (
	"math"
	"testing"

	"gorgonia.org/tensor"

	"tessera/graph"
)

// logits are three images by three texts.
var logits = []float64{2, -1, 0.5, 0, 3, -2, 1, 1.5, -0.5}

// crossEntropy is that of rows of x against t, by the definition.
func crossEntropy(x, t func(i, j int) float64) float64 {
	sum := 0.0
	for i := range 3 {
		z := 0.0
		for j := range 3 {
			z += math.Exp(x(i, j))
		}
		for j := range 3 {
			sum -= t(i, j) * (x(i, j) - math.Log(z))
		}
	}
	return sum / 3
}

func TestLosses(t *testing.T) {
	at := func(i, j int) float64 { return logits[3*i+j] }
	flip := func(f func(i, j int) float64) func(i, j int) float64 {
		return func(i, j int) float64 { return f(j, i) }
	}
	symmetric := func(target func(i, j int) float64) float64 {
		return (crossEntropy(at, target) + crossEntropy(flip(at), flip(target))) / 2
	}
	sigmoid := func(match func(i, j int) float64) float64 {
		sum := 0.0
		for i := range 3 {
			for j := range 3 {
				sum += math.Log1p(math.Exp(-at(i, j) * (2*match(i, j) - 1)))
			}
		}
		return sum / 3
	}
	labelled := func(l [3]int, same float64) func(i, j int) float64 {
		return func(i, j int) float64 {
			if l[i] != l[j] {
				return 0
			}
			n := 0.0
			for _, other := range l {
				if other == l[j] {
					n++
				}
			}
			if same > 0 {
				return same
			}
			return 1 / n
		}
	}
	for _, tt := range []struct {
		name                string
		labels              [3]int
		accuracy, backwards float64 // of images and of texts
	}{
		{"pairs", [3]int{0, 1, 2}, 2. / 3, 2. / 3},
		{"two are one", [3]int{16000000, 5, 5}, 1, 2. / 3},
		{"all are one", [3]int{4, 4, 4}, 1, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := run(t, graph.Values{"label": vector(float32(tt.labels[0]), float32(tt.labels[1]), float32(tt.labels[2]))}, func(b *graph.Builder) {
				x := b.Const(logits, 3, 3)
				labels := b.Input("label", 3)
				match := Matches(b, labels, labels)
				b.Output("match", match)
				b.Output("InfoNCE", InfoNCE(b, x, Shares(b, match)))
				b.Output("SigLIP", SigLIP(b, x, match))
				b.Output("accuracy", hits(b, x, match))
				b.Output("backwards", hits(b, b.Transpose(x, 1, 0), match))
			})
			for i, v := range out("match") {
				if want := labelled(tt.labels, 1)(i/3, i%3); float64(v) != want {
					t.Errorf("match %d is %g, want exactly %g", i, v, want)
				}
			}
			for name, want := range map[string]float64{
				"InfoNCE": symmetric(labelled(tt.labels, 0)), "SigLIP": sigmoid(labelled(tt.labels, 1)),
				"accuracy": tt.accuracy, "backwards": tt.backwards,
			} {
				near(t, name, out(name), []float32{float32(want)}, 2e-6)
			}
		})
	}
}

// TestLossesAreStable feeds logits at which naive formulas overflow.
func TestLossesAreStable(t *testing.T) {
	x := tensor.New(tensor.WithShape(2, 2), tensor.WithBacking([]float32{200, -200, 300, -100}))
	out := run(t, graph.Values{"x": x}, func(b *graph.Builder) {
		x, pairs := b.Input("x", 2, 2), Pairs(b, 2)
		b.Output("InfoNCE", InfoNCE(b, x, pairs))
		b.Output("SigLIP", SigLIP(b, x, pairs))
		b.Output("accuracy", hits(b, x, pairs))
	})
	near(t, "InfoNCE", out("InfoNCE"), []float32{(400. + 100) / 4}, 1e-4)
	near(t, "SigLIP", out("SigLIP"), []float32{(300. + 100) / 2}, 1e-4)
	near(t, "accuracy", out("accuracy"), []float32{0.5}, 0)
}
