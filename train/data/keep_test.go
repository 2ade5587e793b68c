package data

import (
	"slices"
	"sync/atomic"
	"testing"

	"github.com/pkg/errors"
)

// counted counts how often its examples are made. The last one is damaged.
type counted struct {
	Dataset
	made *atomic.Int64
}

func (c counted) Example(i int) (Example, error) {
	c.made.Add(1)
	if i == c.Len()-1 {
		return Example{Name: "damaged"}, errors.New("damaged")
	}
	return c.Dataset.Example(i)
}

func TestKeep(t *testing.T) {
	for _, p := range []Preprocess{CLIPPreprocess(20), ViTPreprocess(20), CLIPPreprocess(40), ViTPreprocess(33)} {
		var made atomic.Int64
		plain := Shapes{N: 12, Size: 33, Seed: 1}
		keep := Keep(counted{plain, &made}, p, 1<<20)
		w, h := p.Output()
		a, b := make([]float32, 3*w*h), make([]float32, 3*w*h)
		for range 3 {
			for i := range 11 {
				want, err := plain.Example(i)
				if err != nil {
					t.Fatal(err)
				}
				got, err := keep.Example(i)
				if err != nil {
					t.Fatal(err)
				}
				if got.Label != want.Label || got.Caption != want.Caption || got.Name != want.Name {
					t.Errorf("example %+v, want %+v", got, want)
				}
				if err := Images(p, nil).Fill(want, nil, a); err != nil {
					t.Fatal(err)
				}
				if err := Images(p, nil).Fill(got, nil, b); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(a, b) {
					t.Errorf("size %d: example %d is prepared differently", w, i)
				}
			}
			if ex, err := keep.Example(11); err == nil || ex.Name != "damaged" {
				t.Errorf("a damaged example: %+v", ex)
			}
		}
		if n := made.Load(); n != 11+3 {
			t.Errorf("%d examples were made, want each of 11 once and the damaged thrice", n)
		}
	}
	ds := Shapes{N: 10, Size: 16}
	if _, ok := Keep(ds, ViTPreprocess(16), 10*16*16*3-1).(Shapes); !ok {
		t.Error("what is too large was kept")
	}
	if _, ok := Keep(ds, ViTPreprocess(16), 10*16*16*3).(*kept); !ok {
		t.Error("what fits was not kept")
	}
}
