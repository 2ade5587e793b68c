package train

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/graph/op"
	"tessera/graph/safetensors"
	"tessera/train/data"
	"tessera/train/optim"
)

// linear regresses y (B, 2) on x (B, 3) after dropout.
type linear struct {
	params       *graph.Params
	weight, bias *graph.Param
	dropout      float64
}

func newLinear(dropout float64) *linear {
	s := graph.NewScope(graph.Seed(1))
	m := &linear{params: s.Params(), dropout: dropout}
	m.weight = s.Param("weight", graph.Normal(0.5), 2, 3)
	m.bias = s.Param("bias", graph.Zeros, 2)
	return m
}

func (m *linear) Params() *graph.Params { return m.params }

func (m *linear) Loss(b *graph.Builder, n int) *graph.Node {
	x := b.Dropout(b.Input("x", n, 3), m.dropout)
	y := b.Input("y", n, 2)
	d := b.Sub(b.Linear(x, b.Param(m.weight), b.Param(m.bias), op.Identity), y)
	b.Output("residuals", d)
	b.Output("mean_y", b.Reshape(b.Mean(y, 0, 1), 1))
	return b.Reshape(b.Mean(b.Square(d), 0, 1), 1)
}

func (m *linear) save(dir string) error {
	var ts []safetensors.Tensor
	for p := range m.params.All() {
		ts = append(ts, safetensors.Tensor{Name: p.Name, Shape: p.Shape(), Data: p.Float32s()})
	}
	return safetensors.Write(filepath.Join(dir, "model.safetensors"), ts, nil)
}

func (m *linear) load(t *testing.T, dir string) {
	t.Helper()
	f, err := safetensors.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for p := range m.params.All() {
		v, err := f.Float32(p.Name)
		if err != nil {
			t.Fatal(err)
		}
		copy(p.Float32s(), v)
	}
}

// examples makes the batch of the given examples, each a function of its index.
func examples(index []int) data.Minibatch {
	x, y := make([]float32, 0, 3*len(index)), make([]float32, 0, 2*len(index))
	for _, i := range index {
		r := rand.New(rand.NewPCG(7, uint64(i)))
		a, b, c := r.Float32(), r.Float32(), r.Float32()
		x = append(x, a, b, c)
		y = append(y, a-b, 2*c+1)
	}
	return data.Minibatch{
		Index: index,
		Batch: data.Batch{
			"x": tensor.New(tensor.WithShape(len(index), 3), tensor.WithBacking(x)),
			"y": tensor.New(tensor.WithShape(len(index), 2), tensor.WithBacking(y)),
		},
	}
}

func span(from, n int) []int {
	index := make([]int, n)
	for i := range index {
		index[i] = from + i
	}
	return index
}

// endless yields batches of n consecutive examples, changed by edit if it is
// not nil.
func endless(n int, edit func(step int, m *data.Minibatch)) func(int) iter.Seq2[data.Minibatch, error] {
	return func(from int) iter.Seq2[data.Minibatch, error] {
		return func(yield func(data.Minibatch, error) bool) {
			for step := from; ; step++ {
				m := examples(span(step*n, n))
				if edit != nil {
					edit(step, &m)
				}
				if !yield(m, nil) {
					return
				}
			}
		}
	}
}

// epoch yields total examples in batches of n.
func epoch(total, n int) iter.Seq2[data.Minibatch, error] {
	return func(yield func(data.Minibatch, error) bool) {
		for i := 0; i < total; i += n {
			if !yield(examples(span(i, min(n, total-i))), nil) {
				return
			}
		}
	}
}

func newTrainer(m *linear, steps int) *Trainer {
	return &Trainer{
		Model:     m,
		BatchSize: 4,
		Data:      endless(4, nil),
		Optimizer: &optim.AdamW{WeightDecay: 0.05},
		Schedule:  Constant(0.01, 0),
		Steps:     steps,
		Seed:      3,
	}
}

// digests maps the files of a folder to the hashes of their contents.
func digests(t *testing.T, dir string) map[string]string {
	t.Helper()
	sums := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		sums[d.Name()] = fmt.Sprintf("%x", sha256.Sum256(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sums
}
