package searchtest_test

import (
	"path/filepath"
	"testing"

	"tessera/clip/search"
	"tessera/clip/search/searchtest"
)

func TestFile(t *testing.T) {
	searchtest.Run(t, func(t *testing.T) search.Index {
		x, err := search.Open(filepath.Join(t.TempDir(), "index"), search.Options{Dim: 24, Model: "m"})
		if err != nil {
			t.Fatal(err)
		}
		return x
	})
}
