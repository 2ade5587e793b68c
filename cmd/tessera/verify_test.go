package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tessera/graph/safetensors"
	"tessera/vit"
)

const goldenModel = "../../testdata/vit/tiny"

func TestVerify(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"verify", goldenModel, "--json"}, nil, &out, &errs); code != exitOK {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	var found []deviation
	if err := json.Unmarshal(out.Bytes(), &found); err != nil {
		t.Fatal(err)
	}
	grads, weights := 0, 0
	for _, d := range found {
		if strings.HasPrefix(d.Name, "grad.") {
			grads++
		}
		if strings.HasPrefix(d.Name, "adamw.") {
			weights++
		}
	}
	if grads != 40 || weights != 50 || len(found) != 92 {
		t.Errorf("%d tensors, of them %d gradients and %d of AdamW; want 92, 40 and 50", len(found), grads, weights)
	}
}

// copyModel copies the golden model for a test to spoil.
func copyModel(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(goldenModel)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestVerifyFails(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, dir string)
		want  string
	}{
		{"one weight changed", func(t *testing.T, dir string) {
			m, err := vit.Load(dir, vit.LoadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			m.Params().Get("vit.encoder.layer.1.output.dense.weight").Float32s()[5] += 0.01
			if err := m.Save(dir); err != nil {
				t.Fatal(err)
			}
		}, "tensors are off by more than 0.0001"},
		{"an unknown tensor", func(t *testing.T, dir string) {
			writeGolden(t, dir, safetensors.Tensor{Name: "surprise", Shape: []int{1}, Data: []float32{1}})
		}, "tensors are off"},
		{"a label out of range", func(t *testing.T, dir string) {
			writeGolden(t, dir, safetensors.Tensor{Name: "labels", Shape: []int{4}, Data: []int64{0, 1, 2, 10}})
		}, "label 10 of image 3 is none of 10 classes"},
		{"no golden file", func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "golden.safetensors")); err != nil {
				t.Fatal(err)
			}
		}, "golden.safetensors"},
		{"another optimizer", func(t *testing.T, dir string) {
			path := filepath.Join(dir, "adamw.json")
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			text = bytes.Replace(text, []byte(`"weight_decay": 0.05`), []byte(`"weight_decay": 0.5`), 1)
			if err := os.WriteFile(path, text, 0o666); err != nil {
				t.Fatal(err)
			}
		}, "tensors are off"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := copyModel(t)
			tt.spoil(t, dir)
			var out, errs bytes.Buffer
			if code := run(t.Context(), []string{"verify", dir}, nil, &out, &errs); code != exitFailed {
				t.Errorf("exit code %d, want %d", code, exitFailed)
			}
			if !strings.Contains(errs.String(), tt.want) {
				t.Errorf("error %q, want one with %q", errs.String(), tt.want)
			}
		})
	}
}

// writeGolden writes a golden file of the stored inputs with one tensor added
// or replaced.
func writeGolden(t *testing.T, dir string, extra safetensors.Tensor) {
	t.Helper()
	path := filepath.Join(dir, "golden.safetensors")
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	pixels, err := f.Float32("pixel_values")
	if err != nil {
		t.Fatal(err)
	}
	info, _ := f.Info("pixel_values")
	tensors := []safetensors.Tensor{{Name: "pixel_values", Shape: info.Shape, Data: pixels}, extra}
	if extra.Name != "labels" {
		tensors = append(tensors, safetensors.Tensor{Name: "labels", Shape: []int{4}, Data: []int64{0, 1, 2, 3}})
	}
	if err := safetensors.Write(path, tensors, nil); err != nil {
		t.Fatal(err)
	}
}
