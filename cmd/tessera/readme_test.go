package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReadmeRuns runs the README's commands in their order, with fewer images
// and steps and smaller models.
func TestReadmeRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("runs many commands")
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	lines := shell(string(text))
	if len(lines) < 15 {
		t.Fatalf("%d commands in the README", len(lines))
	}
	exampleFiles(t)
	for _, line := range lines {
		words, ours := strings.CutPrefix(line, "go run ./cmd/tessera ")
		if !ours {
			if line != "go test ./..." {
				t.Errorf("%q is not run", line)
			}
			continue
		}
		t.Run(words, func(t *testing.T) { runExample(t, "tessera "+words) })
	}
}

// shell lists the commands in a text's blocks of sh.
func shell(text string) (lines []string) {
	for i, block := range strings.Split(text, "```") {
		block, ok := strings.CutPrefix(block, "sh\n")
		if !ok || i%2 == 0 {
			continue
		}
		for line := range strings.Lines(strings.ReplaceAll(block, "\\\n", " ")) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				lines = append(lines, strings.Join(strings.Fields(line), " "))
			}
		}
	}
	return lines
}
