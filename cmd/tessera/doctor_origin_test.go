package main

import (
	"math"
	"strings"
	"testing"

	"tessera/clip"
	"tessera/graph"
	"tessera/train/optim"
)

func TestDoctorActivation(t *testing.T) {
	published := func(name, act string) clip.Config {
		c, err := clip.Preset(name)
		if err != nil {
			t.Fatal(err)
		}
		c.Vision.HiddenAct, c.Text.HiddenAct = act, act
		return c
	}
	openAI := clipOrigin{name: "openai/clip-vit-base-patch32"}
	laion := clipOrigin{name: "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"}
	large := published("l14", exactGELU)
	large.Vision.ImageSize = 336
	for _, tt := range []struct {
		name   string
		origin clipOrigin
		config clip.Config
		halves bool
		want   state
	}{
		{"OpenAI's", openAI, published("b32", quickGELU), true, healthy},
		{"OpenAI's with exact GELU", openAI, published("b32", exactGELU), false, wrong},
		{"OpenAI's by precision, with exact GELU", clipOrigin{}, published("b16", exactGELU), true, wrong},
		{"nobody's of published size, with exact GELU", clipOrigin{}, published("b32", exactGELU), false, doubtful},
		{"the same at 336 pixels", clipOrigin{}, large, false, doubtful},
		{"nobody's of published size", clipOrigin{}, published("b32", quickGELU), false, healthy},
		{"nobody's of a size of its own", clipOrigin{}, published("small32", exactGELU), false, healthy},
		{"LAION's", laion, published("b32", exactGELU), false, healthy},
		{"LAION's with QuickGELU", laion, published("b32", quickGELU), false, doubtful},
		{"open_clip's", clipOrigin{openCLIP: true}, published("b32", exactGELU), false, healthy},
		{"open_clip's with QuickGELU", clipOrigin{openCLIP: true}, published("b32", quickGELU), false, wrong},
		{"open_clip's of OpenAI with exact GELU", clipOrigin{openCLIP: true, quick: true}, published("b32", exactGELU), false, wrong},
		{"another", clipOrigin{}, published("b32", "relu"), false, doubtful},
	} {
		if f := tt.origin.activation(tt.config, tt.halves); f.State != tt.want {
			t.Errorf("%s: %s (%s), want %s", tt.name, f.State, f.Found, tt.want)
		}
	}
}

func TestOpenAIPrecision(t *testing.T) {
	m, err := clip.Load("../../testdata/clip/tiny", clip.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if openAIPrecision(m.Params()) {
		t.Error("weights in float32 are taken for OpenAI's")
	}
	round := func(pick func(name string) bool) {
		for p := range m.Params().All() {
			if pick(p.Name) {
				for i, x := range p.Float32s() { // to 11 bits, subnormal ones to zero
					if p.Float32s()[i] = math.Float32frombits(math.Float32bits(x) &^ 0x1fff); math.Abs(float64(x)) < 0x1p-14 {
						p.Float32s()[i] = 0
					}
				}
			}
		}
	}
	round(func(name string) bool { return !strings.Contains(name, "token_embedding") })
	if !openAIPrecision(m.Params()) {
		t.Error("linear weights of float16 beside a table in float32 are not taken for OpenAI's")
	}
	round(func(string) bool { return true })
	if openAIPrecision(m.Params()) {
		t.Error("a model all in float16 is taken for OpenAI's")
	}
}

// TestNeverDecays holds the names that AdamW leaves alone against those that
// must be, in every model.
func TestNeverDecays(t *testing.T) {
	for name, want := range map[string]bool{
		"logit_scale": true, "vit.embeddings.cls_token": true, "h.0.ln_1.weight": true, "ln_f.weight": true,
		"lang_encoder.gated_cross_attn_layers.0.attn_gate": true, "text_pos_embedding": true, "encoder.0.1.bias": true,
		"text_model.embeddings.position_embedding.weight": true, "h.0.attn.c_attn.query.weight": false, "perceiver.layers.0.0.to_q.weight": false,
		"vision_model.embeddings.patch_embedding.weight": false,
	} {
		if neverDecays(name) != want {
			t.Errorf("%s: %t, want %t", name, !want, want)
		}
	}
	s := graph.NewScope(graph.Seed(1))
	gate := s.Param("block.ff_gate", graph.Zeros, 1, 1) // as a matrix, it would decay
	if !optim.Matrices(gate) {
		t.Fatal("the gate is no matrix")
	}
	e := &examination{dir: t.TempDir()}
	e.decay(s.Params())
	wants(t, e, "decay groups", wrong)
}
