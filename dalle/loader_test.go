package dalle

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tessera/graph"
	"tessera/train"
	"tessera/train/optim"
)

func tinyPairs(m *Model, n int) []Pair {
	out := make([]Pair, n)
	text, image := texts(m, n, true), images(m, n)
	for i := range out {
		out[i] = Pair{text[i], image[i]}
	}
	return out
}

func TestLoader(t *testing.T) {
	m := newTiny(t, func(c *Config) { c.TextDropout = 0.5 })
	l := &Loader{Config: m.Config, Pairs: tinyPairs(m, 25), BatchSize: 4, Seed: 3}
	if n := l.StepsPerEpoch(); n != 6 {
		t.Errorf("%d steps per epoch, want 6", n)
	}
	var whole []string
	dropped, seen := 0, map[int]int{}
	for b, err := range l.Train(0) {
		if err != nil {
			t.Fatal(err)
		}
		if b.Epoch != b.Step/6 {
			t.Errorf("step %d in epoch %d", b.Step, b.Epoch)
		}
		for i, row := range b.Index {
			if b.Step < 6 {
				seen[row]++
			}
			text := b.Batch["text"].Float32s()[i*m.TextTokens:][:m.TextTokens]
			if text[0] == float32(m.Padding) {
				dropped++
			} else if want := l.Pairs[row].Text; int(text[2]) != want[2] {
				t.Errorf("text %v, want %v", text, want)
			}
			if image := b.Batch["image"].Float32s()[i*m.ImageTokens:]; int(image[3]) != l.Pairs[row].Image[3] {
				t.Errorf("image of pair %d: %v", row, image)
			}
		}
		whole = append(whole, fmt.Sprint(b.Index, b.Batch["text"]))
		if b.Step == 99 {
			break
		}
	}
	if dropped < 150 || dropped > 250 {
		t.Errorf("%d of 400 texts left out, want about half", dropped)
	}
	if len(seen) != 24 {
		t.Errorf("%d pairs in an epoch, want 24", len(seen))
	}
	if slices.Equal(whole[:6], whole[6:12]) {
		t.Error("two epochs have one order")
	}
	for b, err := range l.Train(7) { // taken up in the middle of an epoch
		if err != nil || fmt.Sprint(b.Index, b.Batch["text"]) != whole[b.Step] {
			t.Fatalf("step %d differs when resumed: %v", b.Step, err)
		}
		if b.Step == 20 {
			break
		}
	}
	var sizes []int
	for b, err := range l.Epoch() {
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(b.Index))
		if slices.Contains(b.Batch["text"].Float32s(), float32(m.Padding)) {
			t.Error("a text is left out of an evaluation")
		}
	}
	if !slices.Equal(sizes, []int{4, 4, 4, 4, 4, 4, 1}) {
		t.Errorf("batches of %v", sizes)
	}
}

func TestLoaderErrors(t *testing.T) {
	m := newTiny(t, func(c *Config) { c.TextDropout = 0 })
	good := tinyPairs(m, 3)
	for _, tt := range []struct {
		name  string
		pairs []Pair
		batch int
		want  string
	}{
		{"large batch", good, 4, "batches of 4 of 3 pairs"},
		{"no batch", good, 0, "batches of 0"},
		{"no pairs", nil, 1, "batches of 1 of 0 pairs"},
		{"short image", []Pair{{nil, []int{1}}}, 1, "pair 0: 1 image tokens, want 9"},
		{"long text", []Pair{{make([]int, 9), make([]int, 9)}}, 1, "pair 0: dalle: a text of 9 tokens"},
	} {
		for _, err := range (&Loader{Config: m.Config, Pairs: tt.pairs, BatchSize: tt.batch}).Train(0) {
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
			}
			break
		}
	}
}

// A few pairs are learned by heart: greedy images are those of their texts.
func TestLearnsPairs(t *testing.T) {
	c := tinyConfig()
	c.TextDropout, c.Width, c.InitializerRange = 0, 24, 0.05
	m, err := New(c, graph.Seed(1))
	if err != nil {
		t.Fatal(err)
	}
	pairs := tinyPairs(m, 4)
	l := &Loader{Config: c, Pairs: pairs, BatchSize: 4, Seed: 1}
	trainer := train.Trainer{
		Model: m, BatchSize: 4, Data: l.Train, Optimizer: &optim.AdamW{},
		Schedule: train.WarmupCosine(1e-2, 10, 150), ClipNorm: 1, Steps: 150,
	}
	if err := trainer.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, p := range pairs {
		got, err := m.Generate(t.Context(), [][]int{p.Text}, GenerateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got[0], p.Image) {
			t.Errorf("image %d is %v, want %v", i, got[0], p.Image)
		}
	}
}
