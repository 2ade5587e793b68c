package vit

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestValidateReportsEveryFault(t *testing.T) {
	c := tiny()
	c.Heads, c.ImageSize, c.HiddenDropout, c.HiddenAct, c.Pooling = 3, 5, 1, "cube", "max"
	err := c.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"num_attention_heads 3 does not divide hidden_size 4",
		"patch_size 2 does not divide image_size 5",
		"hidden_dropout_prob is 1, want 0 ≤ p < 1",
		`unknown activation "cube"`,
		`pooling is "max", want "cls" or "mean"`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
}

func TestConfigRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	want := tiny()
	if err := want.Write(path); err != nil {
		t.Fatal(err)
	}
	got, err := ReadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, wrote %+v", got, want)
	}
}

func TestParseConfigDefaults(t *testing.T) {
	c, err := ParseConfig([]byte(`{"model_type": "vit", "id2label": {"0": "cat", "1": "dog", "2": "owl"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if c.HiddenSize != 768 || c.LayerNormEps != 1e-12 || !c.QKVBias || c.Classes() != 3 || c.Label(2) != "owl" {
		t.Errorf("config %+v", c)
	}
	for _, tt := range []struct{ name, json, want string }{
		{"not JSON", `{`, "unexpected end"},
		{"another model", `{"model_type": "clip"}`, `model_type is "clip", want "vit"`},
		{"a gap in the labels", `{"model_type": "vit", "id2label": {"0": "a", "2": "b"}}`, "none numbered 1"},
		{"huge sizes", `{"model_type": "vit", "hidden_size": 1e15}`, "cannot unmarshal"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := ParseConfig([]byte(tt.json)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(`{"model_type": "vit", "hidden_size": 4, "num_attention_heads": 2, "id2label": {"0": "a"}}`))
	f.Add([]byte(`{"model_type": "vit", "image_size": -1, "id2label": {}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseConfig(data)
		if err == nil && (c.HiddenSize%c.Heads != 0 || c.ImageSize%c.PatchSize != 0 || c.Classes() == 0) {
			t.Errorf("accepted %+v", c)
		}
	})
}
