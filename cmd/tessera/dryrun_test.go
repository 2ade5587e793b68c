package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A dry run tells what a run would take and writes nothing.
func TestDryRun(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		want []string
	}{
		{"a ViT", []string{"vit", "train", "--data", "shapes:640", "--batch", "32", "--epochs", "3"}, []string{
			`image +\(32×3×32×32\)`, `classifier.weight +\(30×\d+\)`, `parameters +\d+,\d+, of which \d+,\d+ are trained`,
			`memory +[\d.]+ MB: weights [\d.]+ kB, optimizer [\d.]+ MB`, `operations +[\d.]+ GFLOP forward for a batch of 32`,
			`a step +[\d.]+ ms, the median of 3, [\d.]+ examples/s`, `all +\d+ steps of 32 examples: about \d+s`,
		}},
		{"a CLIP in chunks", []string{"clip", "train", "--data", "shapes:640", "--batch", "64", "--chunk", "32", "--epochs", "1"}, []string{
			`image +\(64×3×32×32\)`, `logit_scale +\(1\) +1`, `of a batch [\d.]+ MB`, `operations +[\d.]+ GFLOP`, `the median of 3`,
		}},
		{"shapes that are seen once", []string{"clip", "train", "--data", "shapes"}, []string{`all +5,000 steps of 128 examples`}},
		{"shapes that are seen again", []string{"clip", "train", "--data", "shapes:1280"}, []string{`all +320 steps of 128 examples`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "run")
			var stdout, stderr bytes.Buffer
			if code := run(context.Background(), append(tt.args, "--out", out, "--dry-run"), strings.NewReader(""), &stdout, &stderr); code != exitOK {
				t.Fatalf("exit code %d: %s", code, stderr.String())
			}
			for _, want := range tt.want {
				if !regexp.MustCompile(want).MatchString(stdout.String()) {
					t.Errorf("no %s in\n%s", want, stdout.String())
				}
			}
			if _, err := os.Stat(out); !os.IsNotExist(err) {
				t.Errorf("%s is there", out)
			}
		})
	}
}
