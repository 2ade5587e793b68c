package safetensors

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func shard(name string, value byte) []byte {
	return image(`{"__metadata__":{"of":"`+name+`","`+name+`":""},"`+name+`":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}`, value)
}

func TestOpenShards(t *testing.T) {
	folder := t.TempDir()
	put(t, filepath.Join(folder, "2.safetensors"), shard("a", 1))
	put(t, filepath.Join(folder, "below", "1.safetensors"), shard("b", 2))
	path := put(t, filepath.Join(folder, "x.safetensors.index.json"), []byte(
		`{"metadata":{"total_size":2,"more":[{}, null]},"weight_map":{"b":"below/1.safetensors","a":"./2.safetensors"}}`))
	f := open(t, path)
	if got := f.Names(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("names %q, want a and b", got)
	}
	if got, want := f.Metadata(), map[string]string{"of": "a", "a": "", "b": ""}; !reflect.DeepEqual(got, want) {
		t.Errorf("metadata %q, want %q", got, want)
	}
	for i, name := range f.Names() {
		if got, err := f.Float32(name); err != nil || !slices.Equal(got, []float32{float32(i + 1)}) {
			t.Errorf("%s: %v, %v, want %d", name, got, err, i+1)
		}
	}
	if info, _ := f.Info("b"); info.Path != filepath.Join(folder, "below", "1.safetensors") {
		t.Errorf("b is in %s", info.Path)
	}
}

// Caches of downloads keep their files elsewhere, behind symbolic links.
func TestOpenShardsThroughLink(t *testing.T) {
	blob := put(t, filepath.Join(t.TempDir(), "blob"), shard("a", 1))
	folder := t.TempDir()
	if err := os.Symlink(blob, filepath.Join(folder, "1.safetensors")); err != nil {
		t.Skip(err)
	}
	put(t, filepath.Join(folder, "model.safetensors.index.json"), []byte(`{"weight_map":{"a":"1.safetensors"}}`))
	if got := open(t, folder).Names(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("names %q, want a", got)
	}
}

func TestOpenShardsFaults(t *testing.T) {
	for _, tt := range []struct{ name, index, want string }{
		{"empty", ``, "not a JSON object"},
		{"array", `[]`, "not a JSON object"},
		{"null", `null`, "found <nil>"},
		{"no map", `{"metadata":{}}`, "no weight_map"},
		{"map of null", `{"weight_map":null}`, `"weight_map": found <nil>`},
		{"two maps", `{"weight_map":{},"weight_map":{}}`, "repeated key"},
		{"repeated tensor", `{"weight_map":{"a":"a.st","a":"a.st"}}`, `repeated key "a"`},
		{"number for a file", `{"weight_map":{"a":1}}`, `"a": found 1, want a string`},
		{"missing file", `{"weight_map":{"a":"gone.st"}}`, "gone.st: no such file"},
		{"folder for a file", `{"weight_map":{"a":"."}}`, "not a regular file"},
		{"broken file", `{"weight_map":{"a":"broken.st"}}`, "broken.st: file of 0 bytes"},
		{"missing tensor", `{"weight_map":{"a":"a.st","c":"a.st"}}`, `tensor "c" is not in`},
		{"tensor of another file", `{"weight_map":{"a":"b.st","b":"a.st"}}`, `tensor "a" is not in`},
		{"tensor not listed", `{"weight_map":{"a":"a.st","b":"b.st","d":"de.st"}}`, `tensor "e" of`},
		{"tensor in two files", `{"weight_map":{"a":"a.st","x":"a2.st"}}`, `tensor "a" is also in`},
		{"parent", `{"weight_map":{"a":"../a.st"}}`, `"../a.st" leaves the folder`},
		{"hidden parent", `{"weight_map":{"a":"x/../../a.st"}}`, "leaves the folder"},
		{"absolute", `{"weight_map":{"a":"/a.st"}}`, "leaves the folder"},
		{"nameless", `{"weight_map":{"a":""}}`, "leaves the folder"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "m")
			put(t, filepath.Join(folder, "..", "a.st"), shard("a", 0))
			put(t, filepath.Join(folder, "a.st"), shard("a", 0))
			put(t, filepath.Join(folder, "a2.st"), shard("a", 0))
			put(t, filepath.Join(folder, "b.st"), shard("b", 0))
			put(t, filepath.Join(folder, "broken.st"), nil)
			put(t, filepath.Join(folder, "de.st"), image(
				`{"d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"e":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`))
			index := put(t, filepath.Join(folder, "model.safetensors.index.json"), []byte(tt.index))
			_, err := Open(folder)
			wantError(t, err, "safetensors: "+index, tt.want)
		})
	}
}

// FuzzIndex checks that an index never names a file outside its folder.
func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"metadata":{"total_size":2},"weight_map":{"a":"m/1.safetensors","b":"2.safetensors"}}`))
	f.Add([]byte(`{"weight_map":{"a":"../1.safetensors"}}`))
	f.Add([]byte(`{"weight_map":{}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		shardOf, err := parseIndex(text)
		if err != nil {
			return
		}
		if shardOf == nil {
			t.Fatal("neither an index nor an error")
		}
		for name, shard := range shardOf {
			if path := filepath.Join("/m", shard); path != "/m" && !strings.HasPrefix(path, "/m/") {
				t.Fatalf("tensor %q in %q", name, shard)
			}
		}
	})
}
