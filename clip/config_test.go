package clip

import (
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestEnd(t *testing.T) {
	for _, tt := range []struct {
		name string
		eos  int
		ids  []int
		want int
	}{
		{"first of several end tokens", 8, []int{7, 1, 8, 8, 8}, 2},
		{"an added token may be greater", 7, []int{6, 8, 7, 8}, 2},
		{"no end token", 8, []int{7, 1, 2}, 0},
		{"legacy: the greatest", legacyEOS, []int{7, 2, 8, 0, 0}, 2},
		{"legacy: the first of the greatest", legacyEOS, []int{7, 2, 8, 8}, 2},
		{"legacy: start token alone", legacyEOS, []int{7, 0, 0}, 0},
	} {
		if got := (TextConfig{EOS: tt.eos}).End(tt.ids); got != tt.want {
			t.Errorf("%s: end %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestTexts(t *testing.T) {
	c := tiny().Text
	ids, ends, err := c.Texts([][]int{{7, 1, 8}, {7, 8, 0, 0, 0, 0, 0}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(ids.Float32s(), []float32{7, 1, 8, 7, 8, 0}) || !slices.Equal(ends.Float32s(), []float32{2, 1}) {
		t.Errorf("ids %v, ends %v", ids, ends)
	}
	if ids, _, err = c.Texts([][]int{{7, 8}}, 4); err != nil || !slices.Equal(ids.Float32s(), []float32{7, 8, 8, 8}) {
		t.Errorf("ids %v (%v), want the end token repeated", ids, err)
	}
	for _, tt := range []struct {
		name   string
		texts  [][]int
		length int
		want   string
	}{
		{"none", nil, 0, "no texts"},
		{"empty", [][]int{{7, 8}, {}}, 0, "text 1 has no tokens"},
		{"unknown token", [][]int{{7, 9, 8}}, 0, "token 9, want less than 9"},
		{"negative token", [][]int{{-1, 8}}, 0, "token -1"},
		{"beyond the context", [][]int{{7, 1, 1, 1, 1, 8}}, 0, "6 tokens up to its end, want at most 5"},
		{"beyond the length", [][]int{{7, 1, 8}}, 2, "do not fit"},
		{"length beyond the context", [][]int{{7, 8}}, 6, "do not fit"},
	} {
		if _, _, err := c.Texts(tt.texts, tt.length); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
}

func TestPresets(t *testing.T) {
	for _, name := range Presets() {
		c, err := Preset(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		path := filepath.Join(t.TempDir(), "config.json")
		if err := c.Write(path); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadConfig(path); err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("%s: read back as %+v (%v), want %+v", name, got, err, c)
		}
	}
	if _, err := Preset("b17"); err == nil || !strings.Contains(err.Error(), "small28") {
		t.Errorf("error %v, want one that lists presets", err)
	}
}

func TestParseConfig(t *testing.T) {
	c, err := ParseConfig([]byte(`{"model_type": "clip", "text_config": {"hidden_act": "gelu", "eos_token_id": 2},
		"vision_config": {"patch_size": 16}, "vision_config_dict": {"patch_size": 14}, "text_config_dict": null}`))
	if err != nil {
		t.Fatal(err)
	}
	if c.Text.HiddenAct != "gelu" || c.Text.EOS != legacyEOS || c.Vision.PatchSize != 14 || c.Vision.HiddenSize != 768 || c.Text.Vocabulary != 49408 {
		t.Errorf("read %+v", c)
	}
	for _, tt := range []struct{ text, want string }{
		{`{`, "unexpected end"},
		{`{"model_type": "vit"}`, `model_type is "vit"`},
		{`{"model_type": "clip", "projection_dim": 0}`, "projection_dim is 0"},
		{`{"model_type": "clip", "text_config": {"num_attention_heads": 7}}`, "text_config: num_attention_heads 7 does not divide"},
		{`{"model_type": "clip", "text_config": {"eos_token_id": -1}}`, "eos_token_id is -1"},
		{`{"model_type": "clip", "vision_config": {"hidden_act": "gelou", "patch_size": 0}}`, "patch_size is 0"},
		{`{"model_type": "clip", "vision_config": {"hidden_act": "gelou", "patch_size": 5}}`, "hidden_act"},
		{`{"model_type": "clip", "vision_config": {"patch_size": 300}}`, "patch_size 300 does not divide"},
		{`{"model_type": "clip", "vision_config": {"num_hidden_layers": 2000000}}`, "num_hidden_layers is 2000000"},
	} {
		if _, err := ParseConfig([]byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.text, err, tt.want)
		}
	}
}
