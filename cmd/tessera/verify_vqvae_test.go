package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"tessera/vqvae"
)

const goldenVQVAE = "../../testdata/vqvae/tiny"

func TestVerifyVQVAE(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"verify", goldenVQVAE, "--json"}, nil, &out, &errs); code != exitOK {
		t.Fatalf("exit code %d: %s%s", code, errs.String(), out.String())
	}
	var found []deviation
	if err := json.Unmarshal(out.Bytes(), &found); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, d := range found {
		kind, _, _ := strings.Cut(d.Name, ".")
		kinds[kind]++
	}
	if kinds["grad"] != 19 || kinds["after"] != 6 || kinds["eval"] != 2 || len(found) != 32 {
		t.Errorf("compared %v, %d in all; want 19 gradients, 6 running statistics, 2 of evaluation and 32", kinds, len(found))
	}
}

func TestVerifyVQVAEFails(t *testing.T) {
	for _, name := range []string{"encoder.0.1.running_mean", "vq.embedding.weight", "decoder.2.bias"} {
		m, err := vqvae.Load(goldenVQVAE)
		if err != nil {
			t.Fatal(err)
		}
		m.Params().Get(name).Float32s()[1] += 0.01
		dir := t.TempDir()
		if err := m.Save(dir); err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		golden := filepath.Join(goldenVQVAE, "golden.safetensors")
		if code := run(t.Context(), []string{"verify", dir, "--golden", golden}, nil, &out, &errs); code != exitFailed {
			t.Errorf("%s changed: exit code %d, want %d", name, code, exitFailed)
		}
	}
}
