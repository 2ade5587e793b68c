package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type sized struct {
	Width int `json:"width"`
}

func parse(text []byte) (c sized, err error) {
	return c, json.Unmarshal(text, &c)
}

func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		name  string
		check func(f *Faults)
		want  string // "": none
	}{
		{"nothing checked", func(*Faults) {}, ""},
		{"bounds are allowed", func(f *Faults) { f.Size("n", 1, 1, 3); f.Size("n", 3, 1, 3) }, ""},
		{"too small", func(f *Faults) { f.Size("n", 0, 1, 3) }, "m: n is 0, want 1 to 3"},
		{"too large", func(f *Faults) { f.Size("n", 4, 1, 3) }, "m: n is 4, want 1 to 3"},
		{"probabilities", func(f *Faults) { f.Probability("p", 0); f.Probability("p", 0.999) }, ""},
		{"certainty", func(f *Faults) { f.Probability("p", 1) }, "m: p is 1, want 0 ≤ p < 1"},
		{"no number", func(f *Faults) { f.Probability("p", nan()) }, "m: p is NaN, want 0 ≤ p < 1"},
		{"known activation", func(f *Faults) { f.Activation("act", "gelu") }, ""},
		{"all at once, in order", func(f *Faults) { f.If(true, "a %d", 1); f.If(false, "b"); f.If(true, "c") }, "m: a 1; c"},
		{"of a part", func(f *Faults) { f.Under("part", Faults{"a", "b"}) }, "m: part: a; part: b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var f Faults
			tt.check(&f)
			got := ""
			if err := f.Err("m"); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("faults %q, want %q", got, tt.want)
			}
		})
	}
	var f Faults
	if f.Activation("act", "sinc"); len(f) != 1 || !strings.HasPrefix(f[0], "act: ") {
		t.Errorf("faults %q of an unknown activation, want one that names the key", f)
	}
}

func nan() float64 {
	zero := 0.0
	return zero / zero
}

func TestWriteRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	if err := Write(path, sized{7}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := "{\n  \"width\": 7\n}\n"; string(text) != want {
		t.Errorf("wrote %q, want %q", text, want)
	}
	if c, err := Read(path, parse); err != nil || c.Width != 7 {
		t.Errorf("read %v, %v, want width 7", c, err)
	}
}

func TestReadErrorsNameTheFile(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.json")
	if err := os.WriteFile(broken, []byte("{"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{broken, filepath.Join(dir, "missing.json"), dir} {
		if _, err := Read(path, parse); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("error %v, want one that names %s", err, path)
		}
	}
}

func TestPresets(t *testing.T) {
	ps := Presets[sized]{
		{Name: "small", Config: func() sized { return sized{1} }},
		{Name: "large", Config: func() sized { return sized{9} }},
	}
	if got := strings.Join(ps.Names(), " "); got != "small large" {
		t.Errorf("names %q, want them in order", got)
	}
	if c, err := ps.Find("large"); err != nil || c.Width != 9 {
		t.Errorf("found %v, %v, want width 9", c, err)
	}
	_, err := ps.Find("huge")
	if want := `there is no preset "huge", only small, large`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
}
