package embed

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"tessera/graph"
)

// tokenizerFiles are what the tokenizer of a model may consist of.
var tokenizerFiles = []string{"tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "bpe_simple_vocab_16e6.txt"}

// Model is the SHA-256, in hexadecimal, of all that vectors depend on:
// configuration, preprocessing, the files of the tokenizer, and the weights,
// however they are stored. It is computed once.
func (m *Model) Model() string { return m.hash() }

func (m *Model) sum() string {
	h := sha256.New()
	add := func(name string, b []byte) { // lengths keep one thing from running into the next
		fmt.Fprintf(h, "%s %d\n", name, len(b))
		h.Write(b)
	}
	// Neither can fail, being of numbers and strings that were read from JSON.
	config, _ := json.Marshal(m.CLIP.Config)
	input, _ := json.Marshal(m.Input)
	add("config", config)
	add("input", input)
	if m.dir != "" {
		for _, name := range tokenizerFiles {
			for _, name := range []string{name, name + ".gz"} {
				// What cannot be read is no tokenizer, as texts will say.
				if text, err := os.ReadFile(filepath.Join(m.dir, name)); err == nil {
					add(name, text)
				}
			}
		}
	}
	params := slices.SortedFunc(m.CLIP.Params().All(), func(a, b *graph.Param) int { return cmp.Compare(a.Name, b.Name) })
	buffer := make([]byte, 0, 1<<16)
	for _, p := range params {
		fmt.Fprintln(h, p.Name, p.Shape())
		for part := range slices.Chunk(p.Float32s(), cap(buffer)/4) {
			buffer, _ = binary.Append(buffer[:0], binary.LittleEndian, part)
			h.Write(buffer)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
