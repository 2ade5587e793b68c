package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// commandArgs makes TestMain run the command instead of the tests.
const commandArgs = "TESSERA_TEST_COMMAND"

func TestMain(m *testing.M) {
	if args := os.Getenv(commandArgs); args != "" {
		os.Exit(run(context.Background(), strings.Split(args, "\n"), nil, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// TestFullDisk trains where files cannot grow to the size of the model, as on a
// disk that is full.
func TestFullDisk(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("needs a shell that limits the size of files")
	}
	dir := filepath.Join(t.TempDir(), "run")
	cmd := exec.Command(shell, "-c", `ulimit -f 100; exec "$0"`, os.Args[0])
	cmd.Env = append(os.Environ(), commandArgs+"="+strings.Join([]string{
		"vit", "train", "--data", "shapes:40", "--batch", "4", "--steps", "2", "--out", dir}, "\n"))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != exitFailed {
		t.Fatalf("error %v, want exit code %d\n%s", err, exitFailed, errs.String())
	}
	lines := strings.Split(strings.TrimSpace(errs.String()), "\n")
	last := lines[len(lines)-1]
	if !strings.HasPrefix(last, "tessera: ") || !strings.Contains(last, dir) || !strings.Contains(last, "too large") {
		t.Errorf("error %q, want one line with the file and the cause", last)
	}
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".safetensors") {
			t.Errorf("left a partial file %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
