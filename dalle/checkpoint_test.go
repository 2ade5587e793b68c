package dalle

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tessera/graph/safetensors"
)

const golden = "../testdata/dalle/tiny"

func saved(t *testing.T, m *Model) (dir string, weights []byte) {
	t.Helper()
	dir = t.TempDir()
	if err := m.Save(dir); err != nil {
		t.Fatal(err)
	}
	weights, err := os.ReadFile(filepath.Join(dir, tensorFile))
	if err != nil {
		t.Fatal(err)
	}
	return dir, weights
}

func TestRoundTrip(t *testing.T) {
	for _, v := range variants {
		m := newTiny(t, v.set)
		dir, first := saved(t, m)
		again, err := Load(dir)
		if err != nil {
			t.Fatalf("%s: %v", v.name, err)
		}
		if again.Config != m.Config {
			t.Errorf("%s: configuration %+v, want %+v", v.name, again.Config, m.Config)
		}
		if _, second := saved(t, again); !bytes.Equal(first, second) {
			t.Errorf("%s: weights change", v.name)
		}
	}
}

// The stored layout of the published checkpoint is kept.
func TestSavesWhatItLoads(t *testing.T) {
	m, err := Load(golden)
	if err != nil {
		t.Fatal(err)
	}
	dir, _ := saved(t, m)
	want, got := tensors(t, golden), tensors(t, dir)
	if len(got) != len(want) {
		t.Errorf("%d tensors, want %d", len(got), len(want))
	}
	for name, data := range want {
		if !bytes.Equal(got[name], data) {
			t.Errorf("%s differs", name)
		}
	}
}

// tensors are the shapes and bytes of a model's tensors.
func tensors(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	f, err := safetensors.Open(filepath.Join(dir, tensorFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := map[string][]byte{}
	for _, name := range f.Names() {
		info, _ := f.Info(name)
		v, err := f.Float32(name)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		for _, n := range info.Shape {
			b.WriteByte(byte(n))
		}
		for _, x := range v {
			binary.Write(&b, binary.LittleEndian, x)
		}
		out[name] = b.Bytes()
	}
	return out
}

func TestLoadErrors(t *testing.T) {
	dir, weights := saved(t, newTiny(t, func(*Config) {}))
	config, err := os.ReadFile(filepath.Join(dir, configFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, old, new, want string
	}{
		{"a wider model", `"d_model": 12`, `"d_model": 24`, `tensor "head.weight" has shape (13, 12), want (13, 24)`},
		{"more layers", `"num_layers": 2`, `"num_layers": 3`, `no tensor "transformer.2.ln_1.weight"`},
		{"far more layers", `"num_layers": 2`, `"num_layers": 1000000`, "want a model of 1000000 layers"},
		{"fewer layers", `"num_layers": 2`, `"num_layers": 1`, `the model has no tensor "transformer.1.ln_1.weight"`},
		{"huge sizes", `"text_vocab_size": 11`, `"text_vocab_size": 1000000`, `"text_embedding.weight" has shape (11, 12)`},
		{"other positions", `"learned"`, `"axial"`, `no tensor "image_row_embedding.weight"`},
		{"not a model", `"dalle"`, `"clip"`, `model_type is "clip"`},
		{"no JSON", `{`, ``, "config.json"},
	} {
		other := t.TempDir()
		text := strings.Replace(string(config), tt.old, tt.new, 1)
		for name, data := range map[string][]byte{configFile: []byte(text), tensorFile: weights} {
			if err := os.WriteFile(filepath.Join(other, name), data, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Load(other); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
	if _, err := Load(filepath.Join(dir, "none")); err == nil {
		t.Error("no folder: no error")
	}
}
