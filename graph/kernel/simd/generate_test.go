package simd

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestGenerate demands that the generators write what is there.
func TestGenerate(t *testing.T) {
	command, err := exec.LookPath("go")
	if err != nil {
		t.Skip(err)
	}
	source, err := os.ReadFile("generate.go")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for line := range strings.Lines(string(source)) {
		arguments, ok := strings.CutPrefix(strings.TrimSpace(line), "//go:generate go run ")
		if !ok {
			continue
		}
		count++
		fields := strings.Fields(arguments)
		t.Run(fields[0], func(t *testing.T) {
			dir := t.TempDir()
			binary := filepath.Join(dir, "generator.exe")
			if out, err := exec.Command(command, "build", "-o", binary, fields[0]).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			run := exec.Command(binary, fields[1:]...)
			run.Dir = dir
			if out, err := run.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for i, flag := range fields {
				if flag != "-out" && flag != "-stubs" {
					continue
				}
				name := fields[i+1]
				got, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil {
					t.Fatal(err)
				}
				want, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, want) {
					t.Errorf("%s is not what %s writes", name, fields[0])
				}
			}
		})
	}
	if count == 0 {
		t.Error("no generators in generate.go")
	}
}
