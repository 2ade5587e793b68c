package main

import (
	"strings"
	"testing"
)

func TestVerifyDALLE(t *testing.T) {
	out := ok(t, "verify", "../../testdata/dalle/tiny")
	for _, want := range []string{"logits", "loss", "greedy_tokens", "grad.transformer.1.attn.in_proj.weight", "35 of 35 within 0.0001"} {
		if !strings.Contains(out, want) {
			t.Errorf("report lacks %q:\n%s", want, out)
		}
	}
}
