package train_test

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/train"
	"tessera/train/data"
	"tessera/train/optim"
	"tessera/vit"
)

// BenchmarkStep measures steps of a trainer: forward, backward, clipping and
// AdamW, on one batch that is ready. Besides images/s it reports the bytes of
// the program's buffers and, on Linux, by how many bytes the process grew at
// most, which only a first benchmark can tell.
func BenchmarkStep(b *testing.B) {
	for _, bb := range []struct {
		model string
		batch int
	}{{"small28", 128}, {"tiny192", 32}} {
		b.Run(fmt.Sprintf("model=%s/batch=%d", bb.model, bb.batch), func(b *testing.B) {
			benchmarkStep(b, benchConfig(b, bb.model), bb.batch)
		})
	}
}

// benchConfig is a preset with 10 classes, or tiny192: 32 pixels in patches of
// 4, width 192, 4 blocks of 3 heads.
func benchConfig(b *testing.B, model string) vit.Config {
	b.Helper()
	tiny := model == "tiny192"
	if tiny {
		model = "small32"
	}
	c, err := vit.Preset(model)
	if err != nil {
		b.Fatal(err)
	}
	if tiny {
		c.PatchSize, c.HiddenSize, c.Intermediate, c.Layers, c.Heads = 4, 192, 768, 4, 3
	}
	labels := make([]string, 10)
	for i := range labels {
		labels[i] = strconv.Itoa(i)
	}
	c.SetLabels(labels)
	return c
}

func benchmarkStep(b *testing.B, c vit.Config, batch int) {
	before := peakBytes()
	m, err := vit.New(c, graph.Seed(1))
	if err != nil {
		b.Fatal(err)
	}
	t := &train.Trainer{
		Model: m, BatchSize: batch, Data: repeat(benchBatch(c, batch)), Steps: math.MaxInt, ClipNorm: 1,
		Optimizer: &optim.AdamW{WeightDecay: 0.05},
		Schedule:  train.Constant(1e-4, 0),
		Hooks: []train.Hook{func(*train.Step) error { // the first step is not timed
			if b.Loop() {
				return nil
			}
			return train.ErrStop
		}},
	}
	b.ReportAllocs()
	if err := t.Run(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(batch*b.N)/b.Elapsed().Seconds(), "images/s")
	if peak := peakBytes(); peak > before {
		b.ReportMetric(float64(peak-before), "peak-bytes")
	}
	prog, err := graph.Compile(func(g *graph.Builder) { g.Minimize(m.Loss(g, batch)) }, &graph.Options{Training: true})
	if err != nil {
		b.Fatal(err)
	}
	defer prog.Close()
	b.ReportMetric(float64(prog.Usage().Buffers), "buffer-bytes")
}

// benchBatch draws images and labels.
func benchBatch(c vit.Config, batch int) data.Batch {
	rng := rand.New(rand.NewPCG(1, 1))
	images := make([]float32, batch*c.Channels*c.ImageSize*c.ImageSize)
	for i := range images {
		images[i] = float32(rng.NormFloat64())
	}
	labels := make([]float32, batch*c.Classes())
	for i := range batch {
		labels[i*c.Classes()+rng.IntN(c.Classes())] = 1
	}
	return data.Batch{
		"image": tensor.New(tensor.WithShape(batch, c.Channels, c.ImageSize, c.ImageSize), tensor.WithBacking(images)),
		"label": tensor.New(tensor.WithShape(batch, c.Classes()), tensor.WithBacking(labels)),
	}
}

// BenchmarkUpdate measures AdamW alone: on vectors of a size that stays in cache
// and of one that no cache holds, and on the parameters of models.
func BenchmarkUpdate(b *testing.B) {
	for _, n := range []int{1 << 14, 1 << 24} {
		b.Run(fmt.Sprintf("params=%d", n), func(b *testing.B) {
			s := graph.NewScope(graph.Seed(1))
			s.Param("weight", graph.Ones, n)
			benchmarkUpdate(b, s.Params())
		})
	}
	for _, model := range []string{"tiny192", "s16"} {
		b.Run("params="+model, func(b *testing.B) {
			m, err := vit.New(benchConfig(b, model), graph.Seed(1))
			if err != nil {
				b.Fatal(err)
			}
			benchmarkUpdate(b, m.Params())
		})
	}
}

func benchmarkUpdate(b *testing.B, params *graph.Params) {
	var grads []graph.Grad
	rng := rand.New(rand.NewPCG(1, 1))
	n := 0
	for p := range params.All() {
		g := make([]float32, p.Shape().TotalSize())
		for i := range g {
			g[i] = rng.Float32() - 0.5
		}
		grads = append(grads, graph.Grad{Param: p, Value: tensor.New(tensor.WithShape(p.Shape()...), tensor.WithBacking(g))})
		n += len(g)
	}
	// All of them decay, as in PyTorch.
	adamw := &optim.AdamW{WeightDecay: 0.05, Decays: func(*graph.Param) bool { return true }}
	step := func() {
		if err := adamw.Step(1e-4, 0.5, grads); err != nil {
			b.Fatal(err)
		}
	}
	step() // makes the moments
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/element")
}

// repeat yields the same batch without end.
func repeat(batch data.Batch) func(int) iter.Seq2[data.Minibatch, error] {
	return func(int) iter.Seq2[data.Minibatch, error] {
		return func(yield func(data.Minibatch, error) bool) {
			for yield(data.Minibatch{Batch: batch}, nil) {
			}
		}
	}
}

// peakBytes is the largest resident set of this process so far, as Linux
// counts it; 0 elsewhere.
func peakBytes() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	var kib int64
	_, peak, _ := bytes.Cut(status, []byte("VmHWM:"))
	fmt.Sscan(string(peak), &kib)
	return kib << 10
}
