package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestVerifyGPT2(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"verify", "../../testdata/gpt2/tiny"}, nil, &out, &errs); code != exitOK {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	if !strings.Contains(out.String(), "logits") || !strings.Contains(out.String(), "1 of 1 within 0.0001") {
		t.Errorf("output %q", out.String())
	}
}
