package main

import (
	"strings"
	"testing"
)

func TestVerifyFlamingo(t *testing.T) {
	out := ok(t, "verify", "../../testdata/flamingo/tiny")
	for _, want := range []string{"latents", "logits", "loss", "grad.perceiver.latents", "grad.lang_encoder.gated_cross_attn_layers.1.ff_gate", "50 of 50 within 0.0001"} {
		if !strings.Contains(out, want) {
			t.Errorf("report lacks %q:\n%s", want, out)
		}
	}
}
