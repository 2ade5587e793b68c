package main

import (
	"context"
	"encoding/json"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"tessera/clip/search"
	"tessera/train/data"
)

// A folder that changes is followed, and the index is as if it was made anew.
func TestSearchIndex(t *testing.T) {
	dir := t.TempDir()
	photos := filepath.Join(dir, "photos")
	paths := drawShapes(t, photos, 9)
	write(t, filepath.Join(photos, "2.txt"), []byte("a red thing\n\nsomething round\n"))
	write(t, filepath.Join(photos, "2.json"), []byte(`{"price": 7, "tags": ["a", "b"]}`))
	index := filepath.Join(dir, "x.tessera")
	run := func(want indexReport, wantCode int) string {
		t.Helper()
		code, out, errs := runSearch(t, "index", "--model", goldenClip, "--index", index, "--json", photos)
		var got indexReport
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatalf("%v: %s", err, errs)
		}
		if code != wantCode || got.New != want.New || got.Changed != want.Changed || got.Moved != want.Moved || got.Removed != want.Removed || got.Unchanged != want.Unchanged || got.Failed != want.Failed {
			t.Errorf("exit code %d and %+v, want %d and %+v", code, got, wantCode, want)
		}
		return errs
	}
	run(indexReport{New: 9}, exitOK)
	run(indexReport{Unchanged: 9}, exitOK)

	move := func(from, to string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	touch := func(path string) {
		t.Helper()
		if err := os.Chtimes(path, time.Time{}, time.Unix(1e9, 0)); err != nil {
			t.Fatal(err)
		}
	}
	drawPNG(t, paths[0], image.NewGray(image.Rect(0, 0, 9, 9))) // another content
	touch(paths[1])                                             // the same content
	write(t, filepath.Join(photos, "2.txt"), []byte("a blue thing"))
	write(t, filepath.Join(photos, "3.json"), []byte(`{"price": 8}`))
	move(paths[4], filepath.Join(photos, "sub", "four.png"))
	if err := os.Remove(paths[5]); err != nil {
		t.Fatal(err)
	}
	ex, err := data.Shapes{N: 30, Size: 40, Seed: 5}.Example(20)
	if err != nil {
		t.Fatal(err)
	}
	drawPNG(t, filepath.Join(photos, "new.png"), ex.Image.Std())
	run(indexReport{New: 1, Changed: 4, Moved: 1, Removed: 1, Unchanged: 3}, exitOK)

	// As if made anew.
	again := filepath.Join(dir, "again.tessera")
	mustSearch(t, "index", "--model", goldenClip, "--index", again, photos)
	got, want := storedItems(t, index), storedItems(t, again)
	if len(got) != 9 || len(want) != 9 {
		t.Fatalf("%d and %d items, want 9", len(got), len(want))
	}
	for i, it := range got {
		w := want[i]
		if it.ID != w.ID || it.Image != w.Image || it.Text != w.Text || fmt.Sprint(it.Meta) != fmt.Sprint(w.Meta) ||
			apart(it.ImageVector, w.ImageVector) > 1e-5 || (it.TextVector == nil) != (w.TextVector == nil) || it.TextVector != nil && apart(it.TextVector, w.TextVector) > 1e-5 {
			t.Errorf("item %s is %v %q, want %s %v %q", it.ID, it.Meta, it.Text, w.ID, w.Meta, w.Text)
		}
	}

	// A file that is damaged is not the item any more, and is told.
	write(t, paths[6], []byte("no image"))
	if errs := run(indexReport{Unchanged: 8, Failed: 1}, exitFailed); !strings.Contains(errs, "6.png") {
		t.Errorf("the damaged file is not named: %s", errs)
	}
	if got := storedItems(t, index); len(got) != 8 {
		t.Errorf("%d items, want 8", len(got))
	}
	// While something beside an image is wrong nothing is removed.
	if err := os.Remove(paths[6]); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(paths[7]); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(photos, "8.json"), []byte(`{"file_size": 1}`))
	if errs := run(indexReport{Unchanged: 6, Failed: 1}, exitFailed); !strings.Contains(errs, `the key \"file_size\" is set by the index`) {
		t.Errorf("the wrong metadata are not told: %s", errs)
	}
	if got := storedItems(t, index); len(got) != 8 {
		t.Errorf("%d items, want 8: nothing removed", len(got))
	}
}

// Captions of a table count together; several lines are one item.
func TestSearchIndexTable(t *testing.T) {
	dir := t.TempDir()
	drawShapes(t, dir, 3)
	table := filepath.Join(dir, "table.csv")
	write(t, table, []byte("image,caption\n0.png,red\n1.png,blue\n0.png,round\n"))
	index := filepath.Join(dir, "x.tessera")
	out := mustSearch(t, "index", "--model", goldenClip, "--index", index, table)
	for _, want := range []string{"2 new", "2: 2 with an image, 2 with a text", "no near duplicates"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	items := storedItems(t, index)
	if len(items) != 2 || items[0].Text != "red\nround" || !strings.HasSuffix(items[0].ID, "0.png") || !filepath.IsAbs(items[0].ID) {
		t.Fatalf("items %+v", items)
	}
	e, err := loadEmbedder(goldenClip, "", logger(&cobra.Command{}))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	rows, err := e.embed.Texts(t.Context(), []string{"red", "round"})
	if err != nil {
		t.Fatal(err)
	}
	if apart(items[0].TextVector, meanDirection(rows)) > 1e-6 {
		t.Error("the vector of two captions is not the direction of their sum")
	}
	// Rows that are gone go, those of others stay.
	mustSearch(t, "add", "--model", goldenClip, "--index", index, "--id", "mine", "--text", "x")
	write(t, table, []byte("image,caption\n1.png,blue\n"))
	mustSearch(t, "index", "--model", goldenClip, "--index", index, table)
	if items := storedItems(t, index); len(items) != 2 || items[1].ID != "mine" {
		t.Errorf("items %+v", items)
	}
}

// What was embedded when the command is interrupted stays, and the rest follows.
func TestSearchIndexInterrupted(t *testing.T) {
	dir := t.TempDir()
	drawShapes(t, filepath.Join(dir, "photos"), 40)
	e, err := loadEmbedder(goldenClip, "", logger(&cobra.Command{}))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	f, err := search.Open(filepath.Join(dir, "x"), search.Options{Dim: e.embed.Dim(), Model: e.embed.Model()})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s, err := openSources(filepath.Join(dir, "photos"), e.log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	first := &indexing{index: f, m: e.embed, log: e.log, progress: func(int) func(int) error {
		return func(done int) error {
			if done == 20 {
				stop()
			}
			return nil
		}
	}}
	if err := first.sync(ctx, s); err == nil {
		t.Fatal("no error")
	}
	if info, err := f.Info(t.Context()); err != nil || first.New < 20 || first.New == 40 || info.Items != first.New {
		t.Fatalf("%d items and %d reported, error %v", info.Items, first.New, err)
	}
	second := &indexing{index: f, m: e.embed, log: e.log, progress: func(int) func(int) error { return quiet }}
	if err := second.sync(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if second.New+first.New != 40 || second.Unchanged != first.New {
		t.Errorf("first %+v, then %+v", first.indexReport, second.indexReport)
	}
}

func TestSearchDuplicates(t *testing.T) {
	dir := t.TempDir()
	paths := drawShapes(t, dir, 3)
	b, err := os.ReadFile(paths[1])
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "copy.png"), b)
	index := filepath.Join(t.TempDir(), "x")
	if out := mustSearch(t, "index", "--model", goldenClip, "--index", index, "--near", "0.9999", dir); !strings.Contains(out, "near duplicates: 2 items in 1 groups") {
		t.Errorf("printed %q", out)
	}
	var groups [][]string
	if err := json.Unmarshal([]byte(mustSearch(t, "duplicates", "--index", index, "--near", "0.9999", "--json")), &groups); err != nil {
		t.Fatal(err)
	}
	if len(groups) != 1 || !slices.Equal(groups[0], []string{paths[1], filepath.Join(dir, "copy.png")}) {
		t.Errorf("groups %v", groups)
	}
	if out := mustSearch(t, "duplicates", "--index", index, "--in", "text"); out != "no near duplicates\n" {
		t.Errorf("of texts there are none, printed %q", out)
	}
}
