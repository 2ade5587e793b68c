package search

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var one = Options{Dim: 2, Model: "m1"}

// small writes an index of three items.
func small(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "index")
	f := must(Open(path, one))(t)
	x, y := []float32{1, 0}, []float32{0, 1}
	if err := f.Put(context.Background(), []Item{
		{ID: "a", ImageVector: x, Meta: map[string]any{"k": 1}},
		{ID: "b", TextVector: y, Text: "b"},
		{ID: "c", ImageVector: y, TextVector: x},
	}); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	damaged := func(statement string) string {
		path := small(t)
		db := must(sql.Open("sqlite", path))(t)
		defer db.Close()
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
		return path
	}
	index := string(must(os.ReadFile(small(t)))(t))
	for _, tt := range []struct {
		name, path string
		o          Options
		want       string
	}{
		{"no name", "", one, "no file name"},
		{"missing", filepath.Join(dir, "missing"), Options{}, "does not exist; creating an index takes"},
		{"missing for reading", filepath.Join(dir, "missing"), Options{Dim: 2, Model: "m", ReadOnly: true}, "does not exist"},
		{"no folder", filepath.Join(dir, "none", "index"), one, "cannot lock"},
		{"folder", dir, one, "is not a regular file"},
		{"too wide", filepath.Join(dir, "wide"), Options{Dim: maxDim + 1, Model: "m"}, "vectors of 65537 elements, want at most 65536"},
		{"precision", filepath.Join(dir, "p"), Options{Precision: "int4"}, `precision "int4", want "float32" or "int8"`},
		{"text", file("text", strings.Repeat("hello ", 1000)), one, "is not a search index"},
		{"short", file("short", "hello"), one, "is not a search index"},
		{"empty", file("empty", ""), Options{}, "there is no index yet"},
		{"empty for reading", file("empty2", ""), Options{ReadOnly: true}, "is empty"},
		{"cut", file("cut", index[:len(index)/2]), one, "cannot be read"},
		{"another model", small(t), Options{Model: "m2"}, "holds vectors of model m1, not of model m2; use that model, or index again"},
		{"another width", small(t), Options{Dim: 3}, "holds vectors of 2 elements, not of 3; use"},
		{"another program", damaged("PRAGMA application_id = 7"), one, "another program"},
		{"newer", damaged("PRAGMA user_version = 2"), one, "is an index of format 2, this program knows format 1"},
		{"no model", damaged("DELETE FROM model"), one, "does not say which model"},
		{"bad width", damaged("UPDATE model SET dim = -1"), Options{}, "its vectors have -1 elements"},
		{"no table", damaged("DROP TABLE items"), one, "cannot be read"},
		{"stray vector", damaged("INSERT INTO text_vectors VALUES (77, x'00')"), one, "row 77 of text_vectors belongs to no item"},
		{"short vector", damaged("UPDATE image_vectors SET vector = x'00'"), one, `item "a": image_vectors: a vector of 1 bytes, want 8`},
		{"long vector", damaged("UPDATE text_vectors SET vector = x'0000804000000000'"), one, `item "b": text_vectors: has length 4, want 1`},
		{"no vector", damaged("DELETE FROM text_vectors WHERE row = 2"), one, `item "b" has no vector`},
		{"bad metadata", damaged("UPDATE items SET meta = '[1]' WHERE id = 'c'"), one, `item "c": metadata`},
		{"bad row", damaged("UPDATE items SET row = -3 WHERE id = 'c'"), one, `item "c" is in row -3`},
	} {
		f, err := Open(tt.path, tt.o)
		if err == nil {
			f.Close()
		} else if f != nil {
			t.Errorf("%s: an index beside an error", tt.name)
		}
		checkError(t, tt.name, err, tt.want)
		if err != nil && !strings.Contains(err.Error(), tt.path) {
			t.Errorf("%s: error %v does not name the file", tt.name, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "missing")); err == nil {
		t.Error("a file that cannot be an index was created")
	}
	if got := must(os.ReadFile(filepath.Join(dir, "text")))(t); string(got) != strings.Repeat("hello ", 1000) {
		t.Error("a foreign file was changed")
	}
}

func TestOneWriter(t *testing.T) {
	ctx := context.Background()
	path := small(t)
	f := openAt(t, path, Options{})
	_, err := Open(path, Options{})
	checkError(t, "second writer", err, "another process has it open for writing")
	r := openAt(t, path, Options{ReadOnly: true, Precision: Int8})
	if _, err := f.Delete(ctx, []string{"a", "b"}); err != nil {
		t.Fatal(err)
	}
	// The reader stays with what it opened.
	hits := must(r.Search(ctx, Query{Terms: []Term{{[]float32{1, 0}, Images, 1}}, K: 5, Fusion: Raw}))(t)
	if got := len(hits); got != 3 || hits[0].ID != "a" {
		t.Errorf("reader: hits %v, want a first of 3", summary(hits))
	}
	if got := must(r.Get(ctx, []string{"b"}))(t); len(got) != 1 || got[0].Text != "b" {
		t.Errorf("reader: got %v", got)
	}
	checkError(t, "put", r.Put(ctx, []Item{{ID: "x", TextVector: []float32{1, 0}}}), "for reading only")
	_, err = r.Delete(ctx, []string{"a"})
	checkError(t, "delete", err, "for reading only")
}

func TestClosed(t *testing.T) {
	ctx := context.Background()
	f := must(Open(small(t), Options{}))(t)
	for range 2 {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	checkError(t, "put", f.Put(ctx, []Item{{ID: "x", TextVector: []float32{1, 0}}}), "the index is closed")
	_, err := f.Delete(ctx, []string{"a"})
	checkError(t, "delete", err, "the index is closed")
	_, err = f.Get(ctx, []string{"a"})
	checkError(t, "get", err, "the index is closed")
	_, err = f.Search(ctx, Query{Terms: []Term{{[]float32{1, 0}, Images, 1}}, K: 5})
	checkError(t, "search", err, "the index is closed")
	_, err = f.Info(ctx)
	checkError(t, "info", err, "the index is closed")
	_, err = f.Duplicates(ctx, Images, 0.9)
	checkError(t, "duplicates", err, "the index is closed")
	for _, err := range f.All(ctx) {
		checkError(t, "all", err, "the index is closed")
	}
}

func TestPutAllOrNothing(t *testing.T) {
	ctx := context.Background()
	f := openAt(t, small(t), Options{})
	x := []float32{1, 0}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	for _, tt := range []struct {
		name  string
		ctx   context.Context
		items []Item
		want  string
	}{
		{"bad second", ctx, []Item{{ID: "x", TextVector: x}, {ID: "y"}}, `item "y" has neither`},
		{"metadata", ctx, []Item{{ID: "x", TextVector: x}, {ID: "y", TextVector: x, Meta: map[string]any{"f": func() {}}}}, `item "y": metadata`},
		{"ended", ended, []Item{{ID: "x", TextVector: x}, {ID: "y", TextVector: x}}, "context canceled"},
	} {
		checkError(t, tt.name, f.Put(tt.ctx, tt.items), tt.want)
		if got := must(f.Get(ctx, []string{"x", "y"}))(t); len(got) != 0 {
			t.Errorf("%s: %v is in the index", tt.name, got)
		}
		if info := must(f.Info(ctx))(t); info.Items != 3 {
			t.Errorf("%s: %d items, want 3", tt.name, info.Items)
		}
	}
	// Of two with one ID the last counts, and lengths are mended.
	if err := f.Put(ctx, []Item{{ID: "a", TextVector: x, Text: "1"}, {ID: "a", TextVector: []float32{0, 1.0005}, Text: "2"}}); err != nil {
		t.Fatal(err)
	}
	got := must(f.Get(ctx, []string{"a", "a"}))(t)
	if len(got) != 2 || got[0].Text != "2" || got[0].TextVector[1] != 1 || got[0].ImageVector != nil {
		t.Errorf("got %v", got)
	}
}

// FuzzOpen damages an index. It opens or is refused; what opens can be used.
func FuzzOpen(f *testing.F) {
	content := must(os.ReadFile(small(f)))(f)
	f.Add(uint32(0), []byte("X"))
	f.Add(uint32(100), []byte{1, 2, 3})
	f.Add(uint32(len(content)-8), []byte{0xff, 0xff})
	for i := range 5 {
		rng := rand.New(rand.NewPCG(1, uint64(i)))
		f.Add(rng.Uint32N(uint32(len(content))), []byte{byte(rng.Uint32())})
	}
	f.Fuzz(func(t *testing.T, at uint32, b []byte) {
		bad := append([]byte{}, content...)
		copy(bad[int(at)%len(bad):], b)
		path := filepath.Join(t.TempDir(), "index")
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		index, err := Open(path, one)
		if err != nil {
			return
		}
		defer index.Close()
		ctx := context.Background()
		index.Get(ctx, []string{"a", "b", "c"})
		index.Search(ctx, Query{Terms: []Term{{[]float32{1, 0}, Images, 1}}, K: 5})
		index.Put(ctx, []Item{{ID: "a", TextVector: []float32{1, 0}}})
		index.Duplicates(ctx, Images, 0.5)
		index.Delete(ctx, []string{"a", "b", "c"})
	})
}
