package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tessera/train/data"
)

// split takes a command line apart as a shell does that knows quotes only.
func split(t *testing.T, line string) []string {
	t.Helper()
	var words []string
	var word strings.Builder
	quote, begun, escaped := rune(0), false, false
	for _, r := range line {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case quote == 0 && r == '\\':
			escaped, begun = true, true
		case r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, begun = r, true
		case quote == 0 && r == ' ':
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if quote != 0 {
		t.Fatalf("%s: a quotation does not end", line)
	}
	if begun {
		words = append(words, word.String())
	}
	return words
}

func TestQuickstart(t *testing.T) {
	out := filepath.Join(t.TempDir(), "it's here")
	args := []string{"quickstart", "--out", out, "--images", "1000", "--epochs", "2"}
	first := ok(t, args...)
	report := filepath.Join(out, "report.html")
	for _, want := range []string{"combinations never seen", "of 100 images)", "among 30 names", "images found by text", "of the first 8 fit", report, "Try next:"} {
		if !strings.Contains(first, want) {
			t.Errorf("no %q in\n%s", want, first)
		}
	}
	page := read(t, report)
	checkPage(t, string(page))
	if curves := string(read(t, filepath.Join(out, "curves.svg"))); !strings.Contains(curves, ">CLIP on shapes:1000<") || !strings.Contains(curves, ">text accuracy<") {
		t.Errorf("curves.svg is\n%s", curves)
	}

	var commands []string
	for line := range strings.Lines(first[strings.Index(first, "Try next:"):]) {
		if command, found := strings.CutPrefix(line, "  "+program(os.Args[0])+" "); found {
			commands = append(commands, command)
		}
	}
	if len(commands) != 3 {
		t.Errorf("%d commands to try, want 3:\n%s", len(commands), first)
	}
	for _, command := range commands {
		ok(t, split(t, strings.TrimSpace(command))...)
	}

	t.Run("again", func(t *testing.T) {
		code, stdout, stderr := tessera(t, "quickstart", "--out", out)
		if code != exitOK || stdout != first || !strings.Contains(stderr, "To start over, remove the folder") {
			t.Errorf("exit code %d, %s\n%s", code, stderr, stdout)
		}
		if !bytes.Equal(read(t, report), page) {
			t.Error("another report")
		}
	})
	t.Run("another seed", func(t *testing.T) {
		if code, _, stderr := tessera(t, "quickstart", "--out", out, "--seed", "2"); code != exitUsage || !strings.Contains(stderr, "--seed is 2, but 1") {
			t.Errorf("exit code %d, %s", code, stderr)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		for _, name := range []string{"model.safetensors", "report.html", "checkpoints/step-00000014"} {
			if err := os.RemoveAll(filepath.Join(out, name)); err != nil {
				t.Fatal(err)
			}
		}
		code, stdout, stderr := tessera(t, "quickstart", "--out", out)
		if code != exitOK || stdout != first || !strings.Contains(stderr, "Going on") {
			t.Errorf("exit code %d, %s\n%s", code, stderr, stdout)
		}
		if !bytes.Equal(read(t, report), page) {
			t.Error("another report than that of a run without interruption")
		}
	})
	t.Run("clip train goes on", func(t *testing.T) {
		ok(t, "clip", "train", "--out", out, "--resume")
	})
}

// checkPage wants a page that needs and names nothing outside of it.
func checkPage(t *testing.T, page string) {
	t.Helper()
	for _, want := range []string{"<!DOCTYPE html>", "prefers-color-scheme: dark", "</html>", "<svg", "What speaks for a word", "orange"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in the page", want)
		}
	}
	for _, m := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if !strings.HasPrefix(m[1], "data:image/png;base64,") && !strings.HasPrefix(m[1], "#") && m[1] != "https://arxiv.org/abs/2103.00020" {
			t.Errorf("the page refers to %q", m[1])
		}
	}
	if strings.Contains(page, "<script") || strings.Contains(page, "@import") || strings.Contains(page, "url(") {
		t.Error("the page loads something")
	}
	if n := strings.Count(page, "<img"); n < 8+6+4*4 {
		t.Errorf("%d pictures", n)
	}
	for _, bad := range []string{"ZgotmplZ", "NaN", "%!", "<no value>"} {
		if strings.Contains(page, bad) {
			t.Errorf("%q in the page", bad)
		}
	}
}

func TestQuickstartInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out := filepath.Join(t.TempDir(), "run")
	var stdout, stderr bytes.Buffer
	args := []string{"quickstart", "--out", out, "--images", "1000", "--epochs", "1"}
	if code := run(ctx, args, nil, &stdout, &stderr); code != exitFailed || !strings.Contains(stderr.String(), "interrupted") || stdout.Len() > 0 {
		t.Errorf("exit code %d, %s", code, &stderr)
	}
	// What it left does not keep another run from starting.
	ok(t, args...)
}

func TestQuickstartUsage(t *testing.T) {
	full, file := t.TempDir(), filepath.Join(t.TempDir(), "file")
	write(t, filepath.Join(full, "letter.txt"), nil)
	write(t, file, nil)
	vit := tiny(t)
	for _, tt := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"few images", []string{"--images", "999"}, exitUsage, "--images is 999"},
		{"no folder", []string{"--out", ""}, exitUsage, "--out is empty"},
		{"no epochs", []string{"--epochs", "0"}, exitUsage, "--epochs is 0"},
		{"arguments", []string{"more"}, exitUsage, "more"},
		{"folder of something else", []string{"--out", full}, exitFailed, "letter.txt"},
		{"file", []string{"--out", file}, exitFailed, "--out"},
		{"run of another model", []string{"--out", vit}, exitFailed, "setting"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := tessera(t, append([]string{"quickstart", "--out", filepath.Join(t.TempDir(), "new")}, tt.args...)...)
			if code != tt.code || stdout != "" || !strings.Contains(stderr, tt.want) {
				t.Errorf("exit code %d, %s%s", code, stderr, stdout)
			}
		})
	}
}

func TestProgram(t *testing.T) {
	for argv0, want := range map[string]string{
		"tessera":                          "tessera",
		"./tessera":                        "./tessera",
		"/opt/tessera":                     "/opt/tessera",
		"/my things/te":                    "'/my things/te'",
		"/tmp/go-build12/b001/exe/tessera": "go run tessera/cmd/tessera",
	} {
		if got := program(argv0); got != want {
			t.Errorf("called as %s: %s, want %s", argv0, got, want)
		}
	}
	t.Chdir("../..")
	if got := program("/tmp/go-build12/b001/exe/tessera"); got != "go run ./cmd/tessera" {
		t.Errorf("by go run in the root: %s", got)
	}
}

func TestQuoted(t *testing.T) {
	for _, word := range []string{"", "runs/a-b_1.png", "a large {}", "it's", `"`, "$HOME", "a,b"} {
		if got := split(t, "x "+quoted(word)); len(got) != 2 || got[1] != word {
			t.Errorf("%q becomes %s, which is read as %q", word, quoted(word), got)
		}
	}
	if got := quoted("it's"); got != `'it'\''s'` {
		t.Errorf("it's becomes %s", got)
	}
}

func TestContrasts(t *testing.T) {
	spec := data.ShapeSpec{Pair: data.Pair{Color: 1, Kind: 1}, Row: 2}
	all := contrasts(spec)
	for i, want := range []struct {
		word   string
		others int
		one    string
	}{
		{"orange", 5, "a small purple square at the bottom left"},
		{"square", 4, "a small orange star at the bottom left"},
		{"at the bottom left", 8, "a small orange square in the center"},
	} {
		c := all[i]
		if c.word != want.word || len(c.others) != want.others || !slices.Contains(c.others, want.one) || slices.Contains(c.others, c.caption) {
			t.Errorf("%q with %q, want %q with %d others, such as %q", c.word, c.others, want.word, want.others, want.one)
		}
	}
}

func TestAtLeast(t *testing.T) {
	for v, want := range map[float64]string{0: "0.0 %", 1: "100.0 %", 0.9995: "99.9 %", 0.3: "30.0 %", 0.29: "29.0 %"} {
		if got := atLeast(v); got != want {
			t.Errorf("%g is %s, want %s", v, got, want)
		}
	}
}
