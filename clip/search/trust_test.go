package search

import (
	"context"
	"path/filepath"
	"testing"
)

// One text among images is no modality: a query like it still finds the images
// that are like the query.
func TestOneTextDecidesNothing(t *testing.T) {
	f, err := Open(filepath.Join(t.TempDir(), "x"), Options{Dim: 4, Model: "m"})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	star, square := []float32{0.8, 0, 0, 0.6}, []float32{0, 0.8, 0, 0.6}
	items := []Item{{ID: "text", Text: "a star", TextVector: []float32{0.8, 0, 0.6, 0}}}
	for _, id := range []string{"a", "b", "c"} {
		items = append(items,
			Item{ID: "star " + id, Image: id, ImageVector: star},
			Item{ID: "square " + id, Image: id, ImageVector: square})
	}
	if err := f.Put(context.Background(), items); err != nil {
		t.Fatal(err)
	}
	hits, err := f.Search(context.Background(), Query{
		Terms: []Term{{Vector: []float32{0.8, 0, 0.6, 0}, Kind: Texts, Weight: 1}}, Fusion: Centred, K: 7,
	})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, h := range hits {
		ids = append(ids, h.ID)
	}
	if len(ids) != 7 || ids[0] != "text" || ids[1] != "star a" || ids[3] != "star c" {
		t.Errorf("hits %q, want the text, then the stars", ids)
	}
}
