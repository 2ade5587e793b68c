package clip

import (
	"math"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"tessera/graph"
)

// TestEncoderTexts embeds texts of all lengths together and each alone.
func TestEncoderTexts(t *testing.T) {
	c := tiny()
	c.Text.Context = 30
	m := newModel(t, c)
	e := NewEncoder(m)
	defer e.Close()
	var texts [][]int
	for n := range 90 {
		text := []int{7}
		for i := range (n * 7) % 29 {
			text = append(text, (i+n)%7)
		}
		texts = append(texts, append(text, 8))
	}
	all, err := e.Texts(texts)
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range texts {
		ids, ends, err := c.Text.Texts([][]int{text}, 30)
		if err != nil {
			t.Fatal(err)
		}
		alone := run(t, graph.Values{"ids": ids, "ends": ends}, func(b *graph.Builder) {
			b.Output("text", m.EncodeText(b, b.Input("ids", 1, 30), b.Input("ends", 1)))
		})("text")
		near(t, "text", all[3*i:][:3], alone, 1e-6)
	}
	if none, err := e.Texts(nil); err != nil || len(none) != 0 {
		t.Errorf("no texts give %v, %v", none, err)
	}
	for _, tt := range []struct {
		texts [][]int
		want  string
	}{
		{[][]int{{7, 8}, {}}, "text 1 has no tokens"},
		{[][]int{slices.Concat([]int{7}, make([]int, 30), []int{8})}, "32 tokens up to its end, want at most 30"},
	} {
		if _, err := e.Texts(tt.texts); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want one with %q", err, tt.want)
		}
	}
}

func TestEncoderImages(t *testing.T) {
	e := NewEncoder(newModel(t, tiny()))
	defer e.Close()
	images := random(8, 5, 2, 4, 4)
	all, err := e.Images(images)
	if err != nil {
		t.Fatal(err)
	}
	one, err := e.Images(slice(images, 3, 1))
	if err != nil {
		t.Fatal(err)
	}
	near(t, "image", one, all[9:12], 1e-6)
	for _, shape := range [][]int{{0, 2, 4, 4}, {2, 4, 4}, {1, 2, 4, 5}} {
		if _, err := e.Images(tensor.New(tensor.WithShape(shape...), tensor.Of(tensor.Float32))); err == nil {
			t.Errorf("no error for images of shape %v", shape)
		}
	}
}

func TestZeroShot(t *testing.T) {
	e := NewEncoder(newModel(t, tiny()))
	defer e.Close()
	encode := func(s string) []int {
		ids := []int{7}
		for _, r := range s {
			ids = append(ids, int(r-'a'))
		}
		return append(ids, 8)
	}
	got, err := e.ZeroShot([]string{"a", "b"}, []string{"{}", "c{}", "{}d{}"}, encode)
	if err != nil {
		t.Fatal(err)
	}
	for i, prompts := range [][]string{{"a", "ca", "ada"}, {"b", "cb", "bdb"}} {
		var want [3]float64
		for _, p := range prompts {
			row, err := e.Texts([][]int{encode(p)})
			if err != nil {
				t.Fatal(err)
			}
			for j, v := range row {
				want[j] += float64(v)
			}
		}
		n := math.Sqrt(want[0]*want[0] + want[1]*want[1] + want[2]*want[2])
		near(t, "class", got[3*i:][:3], []float32{float32(want[0] / n), float32(want[1] / n), float32(want[2] / n)}, 1e-6)
	}
	for _, tt := range []struct {
		classes, templates []string
		want               string
	}{
		{nil, []string{"{}"}, "0 classes"},
		{[]string{"a"}, nil, "0 templates"},
		{[]string{"a"}, []string{"{}", "a photo"}, `"a photo" has no {}`},
	} {
		if _, err := e.ZeroShot(tt.classes, tt.templates, encode); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want one with %q", err, tt.want)
		}
	}
}

func TestProbabilities(t *testing.T) {
	m := newModel(t, tiny())
	m.LogitScale.Float32s()[0] = float32(math.Log(10))
	rows := []float32{1, 0, 0, 0, 1, 0, -1, 0, 0}
	got := m.Probabilities([]float32{0.8, 0.6, 0}, rows)
	sum := math.Exp(8) + math.Exp(6) + math.Exp(-8)
	for i, want := range []float64{math.Exp(8) / sum, math.Exp(6) / sum, math.Exp(-8) / sum} {
		if math.Abs(got[i]-want) > 1e-6 {
			t.Errorf("softmax %d is %g, want %g", i, got[i], want)
		}
	}
	bias := -7.0
	c := tiny()
	c.LogitBias = &bias
	m, err := New(c, graph.Seed(1))
	if err != nil {
		t.Fatal(err)
	}
	m.LogitScale.Float32s()[0] = float32(math.Log(10))
	got = m.Probabilities([]float32{0.8, 0.6, 0}, rows)
	for i, x := range []float64{1, -1, -15} {
		if want := 1 / (1 + math.Exp(-x)); math.Abs(got[i]-want) > 1e-6 {
			t.Errorf("sigmoid %d is %g, want %g", i, got[i], want)
		}
	}
}

func TestTemplates(t *testing.T) {
	for name, n := range map[string]int{"openai-imagenet-80": 80, "cifar": 18, "simple": 1} {
		list, err := Templates(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range list {
			if strings.Count(s, blank) != 1 || s != strings.TrimSpace(s) {
				t.Errorf("%s: template %q", name, s)
			}
		}
		if slices.Sort(list); len(list) != n || len(slices.Compact(list)) != n {
			t.Errorf("%s has %d templates, want %d different ones", name, len(list), n)
		}
	}
	if _, err := Templates("imagenet"); err == nil || !strings.Contains(err.Error(), "openai-imagenet-80") {
		t.Errorf("error %v, want one that lists the sets", err)
	}
	if n := len(TemplateSets()); n != 3 {
		t.Errorf("%d sets, want 3", n)
	}
}
