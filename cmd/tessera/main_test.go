package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"tessera/train/data"
	"tessera/vit"
)

// tessera runs a command line and returns its exit code and output.
func tessera(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(""), &out, &err)
	return code, out.String(), err.String()
}

// ok runs a command line that must succeed and returns its results.
func ok(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := tessera(t, args...)
	if code != exitOK {
		t.Fatalf("tessera %s: exit code %d\n%s", strings.Join(args, " "), code, stderr)
	}
	return stdout
}

// tiny trains a model for two steps on few drawn images and returns its folder.
func tiny(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	ok(t, "vit", "train", "--data", "shapes:64", "--out", dir, "--batch", "16", "--steps", "2")
	return dir
}

// write makes a file, and its folder.
func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o666); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestBadInput(t *testing.T) {
	run, tmp := tiny(t), t.TempDir()
	model := read(t, filepath.Join(run, "model.safetensors"))
	config := read(t, filepath.Join(run, "config.json"))
	processor := read(t, filepath.Join(run, preprocessFile))

	truncated := filepath.Join(tmp, "truncated")
	write(t, filepath.Join(truncated, "config.json"), config)
	write(t, filepath.Join(truncated, preprocessFile), processor)
	write(t, filepath.Join(truncated, "model.safetensors"), model[:len(model)/2])

	other := filepath.Join(tmp, "other")
	write(t, filepath.Join(other, "config.json"), bytes.Replace(config, []byte(`"hidden_size": 64`), []byte(`"hidden_size": 32`), 1))
	write(t, filepath.Join(other, preprocessFile), processor)
	write(t, filepath.Join(other, "model.safetensors"), model)

	gray := filepath.Join(tmp, "gray")
	write(t, filepath.Join(gray, "config.json"), config)
	write(t, filepath.Join(gray, "model.safetensors"), model)
	if err := preprocess(1, 32).Write(filepath.Join(gray, preprocessFile)); err != nil {
		t.Fatal(err)
	}

	file := filepath.Join(tmp, "file")
	write(t, file, []byte("x"))
	image := "../../testdata/preprocess/tiny.png"
	train := func(args ...string) []string {
		return append([]string{"vit", "train", "--data", "shapes:64", "--out", filepath.Join(tmp, "out"), "--batch", "16", "--steps", "1"}, args...)
	}

	for _, tt := range []struct {
		name string
		args []string
		code int
		want string // in the message
	}{
		{"unknown command", []string{"vti"}, exitUsage, `did you mean "vit"`},
		{"unknown subcommand", []string{"vit", "tran"}, exitUsage, `did you mean "train"`},
		{"unknown flag", train("--epoch", "3"), exitUsage, "did you mean --epochs"},
		{"unknown flag like no other", train("--xyzzy"), exitUsage, "--xyzzy"},
		{"flag without a value", []string{"vit", "train", "--lr"}, exitUsage, "--lr"},
		{"flag that is no number", train("--lr", "fast"), exitUsage, "--lr"},
		{"learning rate below zero", train("--lr", "-1"), exitUsage, "--lr is -1"},
		{"learning rate not a number", train("--lr", "NaN"), exitUsage, "--lr is NaN"},
		{"one beta", train("--betas", "0.9"), exitUsage, "--betas"},
		{"unknown preset", train("--preset", "smal32"), exitUsage, `did you mean "small32"`},
		{"unknown schedule", train("--schedule", "cosinus"), exitUsage, `did you mean "cosine"`},
		{"unknown augmentation", train("--augment", "flip,shfit"), exitUsage, `did you mean "shift"`},
		{"no augmentation and one", train("--augment", "none,flip"), exitUsage, "--augment"},
		{"pattern without a match", train("--freeze", "encoder.*"), exitUsage, "classifier."},
		{"everything frozen", train("--freeze", "*"), exitUsage, "nothing to train"},
		{"preset of a checkpoint", train("--init", run, "--preset", "small32"), exitUsage, "--preset"},
		{"image size off the patches", train("--image-size", "33"), exitUsage, "--image-size 33"},
		{"arguments to train", train("more"), exitUsage, "more"},
		{"nothing to predict", []string{"vit", "predict", "--model", run}, exitUsage, "at least 1 arg"},
		{"predict without a model", []string{"vit", "predict", image}, exitUsage, "--model"},
		{"eval without data", []string{"vit", "eval", "--model", run}, exitUsage, "--data"},
		{"train without a folder", []string{"vit", "train", "--data", "shapes"}, exitUsage, "--out"},
		{"unknown split", []string{"vit", "eval", "--model", run, "--data", "shapes", "--split", "tets"}, exitUsage, `did you mean "test"`},
		{"no number of shapes", train("--data", "shapes:many"), exitUsage, "many"},
		{"unknown data set", train("--data", "minst:x"), exitUsage, `did you mean "mnist"`},
		{"data set without a folder", train("--data", "mnist"), exitUsage, "mnist:DIR"},
		{"batch larger than the data", train("--batch", "65"), exitUsage, "64 training images"},

		{"missing data", train("--data", filepath.Join(tmp, "nowhere")), exitFailed, "nowhere"},
		{"missing data set", train("--data", "mnist:"+filepath.Join(tmp, "nowhere")), exitFailed, "nowhere"},
		{"missing model", []string{"vit", "eval", "--model", filepath.Join(tmp, "nowhere"), "--data", "shapes"}, exitFailed, "nowhere"},
		{"truncated model", []string{"vit", "predict", "--model", truncated, image}, exitFailed, "model.safetensors"},
		{"model of another shape", []string{"vit", "predict", "--model", other, image}, exitFailed, "want"},
		{"preprocessing of another shape", []string{"vit", "predict", "--model", gray, image}, exitFailed, preprocessFile},
		{"classes of other data", []string{"vit", "eval", "--model", run, "--data", classFolder(t, "cat", "dog")}, exitFailed, `"cat"`},
		{"results into a used folder", train("--out", run), exitFailed, "--resume"},
		{"results below a file", train("--out", filepath.Join(file, "out")), exitFailed, "--out"},
		{"results into a file", train("--out", file), exitFailed, "--out"},
		{"resume of nothing", train("--out", filepath.Join(tmp, "empty"), "--resume"), exitFailed, "no checkpoint"},
		{"resume with another rate", []string{"vit", "train", "--out", run, "--resume", "--lr", "7"}, exitUsage, "--lr is 7"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := tessera(t, tt.args...)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if stdout != "" {
				t.Errorf("printed results:\n%s", stdout)
			}
			if !strings.HasPrefix(stderr, "tessera: ") || !strings.Contains(stderr, tt.want) {
				t.Errorf("message %q, want one with %q", stderr, tt.want)
			}
			if n := strings.Count(strings.TrimSpace(stderr), "\n"); n > 0 && tt.name != "model of another shape" {
				t.Errorf("message of %d lines, want one:\n%s", n+1, stderr)
			}
		})
	}
}

// classFolder makes a data set of images in a folder per class.
func classFolder(t *testing.T, classes ...string) string {
	t.Helper()
	dir := t.TempDir()
	text := read(t, "../../testdata/preprocess/tiny.png")
	for _, class := range classes {
		for _, name := range []string{"a.png", "b.png", "c.png", "d.png"} {
			write(t, filepath.Join(dir, class, name), text)
		}
	}
	return dir
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{nil, {"vit"}, {"vit", "train", "--help"}, {"help", "vit", "eval"}} {
		if out := ok(t, args...); !strings.Contains(out, "Usage:") {
			t.Errorf("tessera %v printed %q, want its usage", args, out)
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"small28", "small32", "b16"}
	for _, tt := range []struct{ name, want string }{
		{"small32", "small32"}, {"smal32", "small32"}, {"SMALL28", "small28"}, {"b61", "b16"}, {"resnet50", ""}, {"", ""},
	} {
		if got := nearest(tt.name, known); got != tt.want {
			t.Errorf("nearest to %q is %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestRelabel(t *testing.T) {
	ds, err := data.OpenFolder(classFolder(t, "cat", "dog"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		classes []string
		want    []int // labels of the first and the last image; nil: an error
	}{
		{"equal", []string{"cat", "dog"}, []int{0, 1}},
		{"in another order", []string{"dog", "ant", "cat"}, []int{2, 0}},
		{"only numbered", []string{"LABEL_0", "LABEL_1"}, []int{0, 1}},
		{"numbered, but more", []string{"LABEL_0", "LABEL_1", "LABEL_2"}, nil},
		{"one missing", []string{"cat", "cow"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := relabel(ds, tt.classes, "photos")
			if tt.want == nil {
				if err == nil {
					t.Fatal("no error")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range tt.want {
				ex, err := got.Example(i * (ds.Len() - 1))
				if err != nil || ex.Label != want {
					t.Errorf("label %d of example %d (error %v), want %d", ex.Label, i, err, want)
				}
			}
		})
	}
}

func TestDefaultsNameFlags(t *testing.T) {
	for kind, defaults := range vitDefaults {
		cmd := newViTTrain()
		if err := setDefaults(cmd.Flags(), vitDefaults[kind]); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		preset := cmd.Flags().Lookup("preset").Value.String()
		if _, err := vit.Preset(preset); err != nil || preset != defaults["preset"] {
			t.Errorf("%s: preset %q (error %v), want %q", kind, preset, err, defaults["preset"])
		}
	}
}

func TestOtherDefaultsNameFlags(t *testing.T) {
	for _, x := range []struct {
		cmd      func() *cobra.Command
		defaults map[string]map[string]string
	}{{newClipTrain, clipDefaults}, {newVQVAETrain, vqvaeDefaults}, {newDALLETrain, dalleDefaults}} {
		for kind, defaults := range x.defaults {
			if err := setDefaults(x.cmd().Flags(), defaults); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		}
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	dir := filepath.Join(t.TempDir(), "run")
	code := run(ctx, []string{"vit", "train", "--data", "shapes:64", "--out", dir, "--batch", "16", "--steps", "2"}, nil, &out, &errs)
	if code != exitFailed || !strings.Contains(errs.String(), "interrupted") {
		t.Errorf("exit code %d with message %q, want 1 and an interruption", code, errs.String())
	}
}
