package train_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// TestLibraryFromAnotherModule builds testdata/library as a user's module that
// requires this one, and trains with it.
func TestLibraryFromAnotherModule(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a module of its own")
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	copyFile := func(from, to string, edit func([]byte) []byte) {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(root, from))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, to), edit(data), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	same := func(b []byte) []byte { return b }
	copyFile("testdata/library/main.go", "main.go", same)
	copyFile("go.sum", "go.sum", same)
	copyFile("go.mod", "go.mod", func(b []byte) []byte {
		b = regexp.MustCompile(`(?m)^module .*$`).ReplaceAll(b, []byte("module library"))
		return append(b, "\nrequire tessera v0.0.0\n\nreplace tessera => "+strconv.Quote(root)+"\n"...)
	})

	cmd := exec.Command("go", "run", "-mod=mod", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	found := regexp.MustCompile(`loss (\d+\.\d+) after 60 steps, (\d+\.\d+) at the start`).FindSubmatch(out)
	if found == nil {
		t.Fatalf("output %q", out)
	}
	end, _ := strconv.ParseFloat(string(found[1]), 64)
	start, _ := strconv.ParseFloat(string(found[2]), 64)
	if !(end < start-0.1) {
		t.Errorf("loss went from %g to %g, want it to fall", start, end)
	}
}
