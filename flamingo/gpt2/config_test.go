package gpt2

import (
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"tessera/graph"
)

func TestParseConfig(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string // of the error; none if it is valid
	}{
		{"only the type", `{"model_type": "gpt2"}`, nil},
		{"null is absent", `{"n_inner": null}`, nil},
		{"all faults", `{"model_type": "bert", "vocab_size": 0, "n_layer": -1, "attn_pdrop": 1, "resid_pdrop": -0.1,
			"layer_norm_epsilon": 0, "activation_function": "maxout"}`,
			[]string{`model_type is "bert"`, "vocab_size is 0", "n_layer is -1", "attn_pdrop is 1", "resid_pdrop is -0.1", "layer_norm_epsilon is 0", `unknown activation "maxout"`}},
		{"heads", `{"n_head": 7}`, []string{"n_head 7 does not divide n_embd 768"}},
		{"a list", `[]`, []string{"cannot unmarshal"}},
		{"unscaled attention", `{"scale_attn_weights": false}`, []string{"scale_attn_weights is false"}},
		{"attention scaled by layer", `{"scale_attn_by_inverse_layer_idx": true}`, []string{"scale_attn_by_inverse_layer_idx is true"}},
		{"a head of its own", `{"tie_word_embeddings": false}`, []string{"tie_word_embeddings is false"}},
		{"cross-attention", `{"add_cross_attention": true}`, []string{"add_cross_attention is true"}},
	} {
		c, err := ParseConfig([]byte(tt.text))
		if tt.want == nil {
			if err != nil || !reflect.DeepEqual(c, Small()) {
				t.Errorf("%s: %+v, %v; want the small model", tt.name, c, err)
			}
			continue
		}
		for _, want := range tt.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, want one with %q", tt.name, err, want)
			}
		}
	}
}

func TestWriteConfig(t *testing.T) {
	c := Medium()
	c.Inner, c.Activation = 100, "relu"
	path := filepath.Join(t.TempDir(), "config.json")
	if err := c.Write(path); err != nil {
		t.Fatal(err)
	}
	got, err := ReadConfig(path)
	if err != nil || !reflect.DeepEqual(got, c) {
		t.Errorf("%+v, %v; want %+v", got, err, c)
	}
}

func TestSizes(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config Config
		want   int
	}{
		{"small", Small(), 124439808},
		{"medium", Medium(), 354823168},
		{"large", Large(), 774030080},
		{"xl", XL(), 1557611200},
	} {
		D, n := tt.config.Width, tt.config.Hidden()
		block := 4*D + 4*D*D + 4*D + 2*D*n + n + D
		if got := (tt.config.VocabSize+tt.config.Context)*D + tt.config.Layers*block + 2*D; got != tt.want {
			t.Errorf("%s: %d parameters, want %d", tt.name, got, tt.want)
		}
	}
	m := tiny(t)
	D, n := m.Width, m.Hidden()
	if got, want := m.Params().Size(), (m.VocabSize+m.Config.Context)*D+m.Layers*(8*D+4*D*D+2*D*n+n+D)+2*D; got != want {
		t.Errorf("tiny: %d parameters, want %d", got, want)
	}
}

func TestInitialization(t *testing.T) {
	c := Small()
	c.VocabSize, c.Context, c.Width, c.Layers, c.Heads = 100, 50, 64, 8, 4
	m, err := New(c, graph.Seed(1))
	if err != nil {
		t.Fatal(err)
	}
	for p := range m.Params().All() {
		if p.Shape().Dims() != 2 {
			continue
		}
		want := 0.02
		if strings.HasSuffix(p.Name, "c_proj.weight") {
			want = 0.02 / 4 // √(2·8)
		}
		sum := 0.0
		for _, v := range p.Float32s() {
			sum += float64(v) * float64(v)
		}
		if std := math.Sqrt(sum / float64(p.Shape().TotalSize())); math.Abs(std-want) > 0.1*want {
			t.Errorf("%s has deviation %g, want %g", p.Name, std, want)
		}
	}
}

func TestNewRejects(t *testing.T) {
	c := Small()
	c.Heads = 0
	if _, err := New(c, graph.Seed(1)); err == nil || !strings.Contains(err.Error(), "n_head is 0") {
		t.Errorf("error %v", err)
	}
}

func FuzzParseConfig(f *testing.F) {
	for _, s := range []string{`{"model_type": "gpt2"}`, `{"n_embd": 1e9}`, `{"n_layer": -1, "attn_pdrop": 2}`, `[`, ``} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := ParseConfig(text)
		if err != nil {
			return
		}
		if c.Width%c.Heads != 0 || c.Hidden() < 1 || c.Context < 1 {
			t.Errorf("%q: accepted %+v", text, c)
		}
	})
}
