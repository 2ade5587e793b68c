package optim_test

import (
	"math"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/graph/safetensors"
	"tessera/train/optim"
)

// model declares a matrix of several chunks, a vector, a single number, a class
// token and a frozen matrix.
func model(t *testing.T) *graph.Params {
	t.Helper()
	s := graph.NewScope(graph.Seed(7))
	s.Sub("a").Param("weight", graph.Normal(0.5), 131, 257)
	s.Sub("a").Param("bias", graph.Normal(0.5), 131)
	s.Param("logit_scale", graph.Constant(2))
	s.Sub("embeddings").Param("cls_token", graph.Normal(1), 1, 1, 3)
	s.Sub("old").Frozen().Param("weight", graph.Ones, 2, 2)
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return s.Params()
}

// gradients draws a gradient for every trained parameter.
func gradients(params *graph.Params, r *rand.Rand) []graph.Grad {
	var grads []graph.Grad
	for p := range params.Trained() {
		g := make([]float32, p.Shape().TotalSize())
		for i := range g {
			g[i] = float32(r.NormFloat64() * 0.1)
		}
		grads = append(grads, graph.Grad{Param: p, Value: dense(g, p.Value.Shape()...)})
	}
	return grads
}

func dense(x []float32, shape ...int) *tensor.Dense {
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(x))
}

func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// values copies all parameters.
func values(params *graph.Params) map[string][]float32 {
	out := map[string][]float32{}
	for p := range params.All() {
		out[p.Name] = slices.Clone(p.Float32s())
	}
	return out
}

// sameBits fails if two sets of values differ in any bit.
func sameBits(t *testing.T, got, want map[string][]float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d parameters, want %d", len(got), len(want))
	}
	for name, w := range want {
		if !slices.EqualFunc(got[name], w, func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }) {
			t.Errorf("%s differs", name)
		}
	}
}

// save writes a state and opens it.
func save(t *testing.T, state []safetensors.Tensor) *safetensors.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.safetensors")
	if err := safetensors.Write(path, state, nil); err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func wantError(t *testing.T, err error, part string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), part) {
		t.Errorf("error %v, want one with %q", err, part)
	}
}

// withProcs runs f under another GOMAXPROCS.
func withProcs(n int, f func()) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(n))
	f()
}

func TestNorm(t *testing.T) {
	p := &graph.Param{Name: "w"}
	for _, tt := range []struct {
		name  string
		grads []*tensor.Dense
		want  float64
	}{
		{"no gradients", nil, 0},
		{"one", []*tensor.Dense{dense([]float32{3, 4}, 2)}, 5},
		{"several are one vector", []*tensor.Dense{dense([]float32{2, 3}, 1, 2), dense([]float32{6}, 1)}, 7},
		{"double precision", []*tensor.Dense{tensor.New(tensor.WithShape(2), tensor.WithBacking([]float64{-3, 4}))}, 5},
		{"without dimensions", []*tensor.Dense{tensor.New(tensor.FromScalar(float32(-2)))}, 2},
		{"squares beyond float32", []*tensor.Dense{dense([]float32{3e30, 4e30}, 2)}, 5e30},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var grads []graph.Grad
			for _, v := range tt.grads {
				grads = append(grads, graph.Grad{Param: p, Value: v})
			}
			if got := optim.Norm(grads); math.Abs(got-tt.want) > 1e-6*tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestNormIgnoresProcessors(t *testing.T) {
	grads := gradients(model(t), random(1))
	var got [2]float64
	for i, n := range []int{1, 5} {
		withProcs(n, func() { got[i] = optim.Norm(grads) })
	}
	if got[0] != got[1] {
		t.Errorf("norm %v with 1 processor, %v with 5", got[0], got[1])
	}
}

func TestMatrices(t *testing.T) {
	s := graph.NewScope(graph.Seed(1))
	for _, tt := range []struct {
		name  string
		shape []int
		want  bool
	}{
		{"fc.weight", []int{2, 3}, true},
		{"conv.weight", []int{2, 3, 1, 1}, true},
		{"fc.bias", []int{2}, false},
		{"logit_scale", nil, false},
		{"vit.embeddings.cls_token", []int{1, 1, 3}, false},
		{"vision_model.embeddings.class_embedding", []int{1, 3}, false},
		{"vit.embeddings.position_embeddings", []int{1, 2, 3}, false},
		{"text_model.embeddings.position_embedding.weight", []int{2, 3}, false},
		{"positional_embedding", []int{2, 3}, false},
		{"pos_embed", []int{1, 2, 3}, false},
		{"token_embedding.weight", []int{2, 3}, true},
	} {
		p := s.Param(tt.name, graph.Zeros, tt.shape...)
		if got := optim.Matrices(p); got != tt.want {
			t.Errorf("Matrices(%s %v) = %v", tt.name, tt.shape, got)
		}
		if !optim.All(p) {
			t.Errorf("All(%s) = false", tt.name)
		}
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
}

func TestLayerDecay(t *testing.T) {
	rate := optim.LayerDecay(0.5, 3, func(name string) int { return len(name) })
	for name, want := range map[string]float64{"": 0.125, "a": 0.25, "bc": 0.5, "def": 1} {
		if got := rate(&graph.Param{Name: name}); got != want {
			t.Errorf("layer %d: rate %v, want %v", len(name), got, want)
		}
	}
}
