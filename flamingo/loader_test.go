package flamingo

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"tessera/graph"
	"tessera/train"
	"tessera/train/data"
	"tessera/train/optim"
)

// captioned is a task that needs the image: the text names the sign of its first
// patch.
func captioned(c Config, n int) *Loader {
	r := rand.New(rand.NewPCG(8, 8))
	images, words := make([]Image, n), make([]int, n)
	for i := range images {
		images[i], words[i] = picture(r, c, 1, 4), 3
		if i%2 == 0 {
			words[i] = 7
		}
		for j := range images[i].Patches {
			images[i].Patches[j] += float32(words[i] - 5)
		}
	}
	return &Loader{
		Objective: Objective{Shape: Shape{Tokens: 8, Images: 2, Frames: 1, Patches: 4}},
		N:         n, BatchSize: 8, Seed: 3,
		Sequence: func(i int, r *rand.Rand) (Sequence, error) {
			j := r.IntN(n)
			return Sequence{
				IDs:    []int{c.Media, 1, words[j], c.EndChunk, c.Media, 1, words[i], c.EndChunk},
				Images: []Image{images[j], images[i]},
				Learn:  []bool{false, false, true, true, false, false, true, true},
			}, nil
		},
	}
}

func TestTrainingLeavesTheLanguageModel(t *testing.T) {
	c := small()
	c.Text.InitializerRange = 0.8 // a frozen head of small values would predict nothing
	m, err := New(c, graph.Seed(1))
	if err != nil {
		t.Fatal(err)
	}
	l := captioned(c, 40)
	l.Model = m
	before := map[string][]byte{}
	for p := range m.Params().All() {
		before[p.Name] = rawBytes(t, p)
	}
	first, err := train.Evaluate(t.Context(), train.Objective(l.Objective), l.Epoch(), l.BatchSize)
	if err != nil {
		t.Fatal(err)
	}
	trainer := &train.Trainer{
		Model: l.Objective, BatchSize: l.BatchSize, Data: l.Train, Optimizer: &optim.AdamW{WeightDecay: 0.1, Rate: gatesFirst},
		Schedule: train.WarmupCosine(0.01, 20, 500), ClipNorm: 1, Steps: 500,
	}
	if err := trainer.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	last, err := train.Evaluate(t.Context(), train.Objective(l.Objective), l.Epoch(), l.BatchSize)
	if err != nil {
		t.Fatal(err)
	}
	// Without the images, half of the words would be wrong: ln 2 / 2.
	if !(last.Metrics["loss"] < 0.25) {
		t.Errorf("loss went from %g to %g, want below 0.25", first.Metrics["loss"], last.Metrics["loss"])
	}
	for p := range m.Params().All() {
		own := strings.HasPrefix(p.Name, "perceiver.") || strings.Contains(p.Name, "gated_cross_attn_layers") || p.Name == addedName
		if same := bytes.Equal(before[p.Name], rawBytes(t, p)); same == own {
			t.Errorf("%s kept its bytes: %t, want %t", p.Name, same, !own)
		}
	}
}

// gatesFirst opens the gates soon: until then nothing else learns.
func gatesFirst(p *graph.Param) float64 {
	if IsGate(p) {
		return 30
	}
	return 1
}

func rawBytes(t *testing.T, p *graph.Param) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := binary.Write(&b, binary.LittleEndian, p.Float32s()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestLoader(t *testing.T) {
	c := small()
	m := random(t, c)
	l := captioned(c, 21)
	l.Model = m
	batches := func(from, n int) (out []data.Minibatch) {
		for b, err := range l.Train(from) {
			if err != nil {
				t.Fatal(err)
			}
			if out = append(out, b); len(out) == n {
				break
			}
		}
		return out
	}
	all := batches(0, 5)
	for i, b := range batches(3, 2) {
		if !slices.Equal(b.Index, all[3+i].Index) || !slices.Equal(b.Batch["patches"].Float32s(), all[3+i].Batch["patches"].Float32s()) {
			t.Errorf("step %d is another one when training begins there", 3+i)
		}
	}
	if slices.Equal(all[0].Index, all[2].Index) || all[2].Epoch != 1 {
		t.Errorf("epochs have one order: %v", all[2].Index)
	}
	n := 0
	for b, err := range l.Epoch() {
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range b.Index {
			if i != n {
				t.Fatalf("sequence %d, want %d", i, n)
			}
			n++
		}
	}
	if n != 21 {
		t.Errorf("%d sequences, want 21", n)
	}
	l.BatchSize = 22
	for _, err := range l.Train(0) {
		if err == nil || !strings.Contains(err.Error(), "batches of 22 of 21 sequences") {
			t.Errorf("no whole batch: %v", err)
		}
		break
	}
}
