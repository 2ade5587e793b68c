// Package searchtest has the tests that every search.Index must pass.
package searchtest

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"

	"tessera/clip/search"
)

// Run tests indexes that open gives: new, empty ones of any small width. They
// are closed by Run. The items are few enough for approximate indexes to find
// all of them.
func Run(t *testing.T, open func(t *testing.T) search.Index) {
	for _, tt := range []struct {
		name string
		test func(*testing.T, *bench)
	}{
		{"an empty index answers", empty},
		{"items are what was put last", contents},
		{"hits are those of an exact search", hits},
		{"bad input changes nothing", refusals},
		{"writers and readers at once", together},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := open(t)
			defer func() {
				if err := x.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			}()
			info, err := x.Info(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if info.Dim < 2 || info.Model == "" || info.Items != 0 {
				t.Fatalf("a new index says %+v", info)
			}
			tt.test(t, &bench{x, info.Dim, rand.New(rand.NewPCG(1, 2)), t.Context()})
		})
	}
}

// A bench is an index under test and what makes its items.
type bench struct {
	search.Index
	dim int
	rng *rand.Rand
	ctx context.Context
}

func empty(t *testing.T, b *bench) {
	for _, q := range b.queries() {
		if hits, err := b.Search(b.ctx, q); err != nil || len(hits) != 0 {
			t.Errorf("%s: %d hits, error %v", describe(q), len(hits), err)
		}
	}
	if items, err := b.Get(b.ctx, []string{"nobody"}); err != nil || len(items) != 0 {
		t.Errorf("Get: %d items, error %v", len(items), err)
	}
	for _, ids := range [][]string{nil, {"nobody"}} {
		if n, err := b.Delete(b.ctx, ids); err != nil || n != 0 {
			t.Errorf("Delete %v: %d, error %v", ids, n, err)
		}
	}
	if err := b.Put(b.ctx, nil); err != nil {
		t.Errorf("Put of nothing: %v", err)
	}
}

func contents(t *testing.T, b *bench) {
	want := map[string]search.Item{}
	var ids []string
	for i := range 24 {
		ids = append(ids, fmt.Sprintf("item %02d", i))
	}
	ids = append(ids, `quote " and \ and '; --`, "ünï/çødé %2F", " ", "a\nb")
	for step := range 12 {
		if step%4 == 3 {
			gone := []string{ids[b.rng.IntN(len(ids))], ids[b.rng.IntN(len(ids))], "nobody"}
			n := 0
			for _, id := range gone {
				if _, ok := want[id]; ok {
					n++
				}
				delete(want, id)
			}
			if got, err := b.Delete(b.ctx, gone); err != nil || got != n {
				t.Fatalf("Delete %q: %d, error %v; want %d", gone, got, err, n)
			}
		} else {
			var items []search.Item
			for range 7 { // some of them twice: the last counts
				it := b.item(ids[b.rng.IntN(len(ids))])
				items, want[it.ID] = append(items, it), it
			}
			if err := b.Put(b.ctx, items); err != nil {
				t.Fatal(err)
			}
		}
		got, err := b.Get(b.ctx, ids)
		if err != nil {
			t.Fatal(err)
		}
		var present []search.Item
		for _, id := range ids {
			if it, ok := want[id]; ok {
				present = append(present, it)
			}
		}
		if len(got) != len(present) {
			t.Fatalf("step %d: %d items, want %d", step, len(got), len(present))
		}
		for i := range got {
			if !same(got[i], present[i]) {
				t.Errorf("step %d: got\n%+v, want\n%+v", step, got[i], present[i])
			}
		}
		checkInfo(t, b, want)
	}
	asked := []string{ids[3], "nobody", ids[1], ids[2]}
	got, err := b.Get(b.ctx, asked)
	if err != nil {
		t.Fatal(err)
	}
	asked = slices.DeleteFunc(asked, func(id string) bool { _, ok := want[id]; return !ok })
	for i, it := range got {
		if it.ID != asked[i] {
			t.Errorf("Get gives %q at place %d, want %q", it.ID, i, asked[i])
		}
	}
}

func checkInfo(t *testing.T, b *bench, want map[string]search.Item) {
	t.Helper()
	info, err := b.Info(b.ctx)
	if err != nil {
		t.Fatal(err)
	}
	images, texts := 0, 0
	for _, it := range want {
		if it.ImageVector != nil {
			images++
		}
		if it.TextVector != nil {
			texts++
		}
	}
	if info.Items != len(want) || info.Images != images || info.Texts != texts || info.Dim != b.dim {
		t.Errorf("Info gives %+v, want %d items, %d images, %d texts", info, len(want), images, texts)
	}
}

// same compares items but for how JSON writes their metadata.
func same(a, b search.Item) bool {
	a.Meta, b.Meta = plain(a.Meta), plain(b.Meta)
	return reflect.DeepEqual(a, b)
}

func hits(t *testing.T, b *bench) {
	all := map[string]search.Item{}
	put := func(items ...search.Item) {
		t.Helper()
		for _, it := range items {
			all[it.ID] = it
		}
		if err := b.Put(b.ctx, items); err != nil {
			t.Fatal(err)
		}
	}
	check := func(when string) {
		t.Helper()
		for _, q := range b.queries() {
			got, err := b.Search(b.ctx, q)
			if err != nil {
				t.Errorf("%s: %s: %v", when, describe(q), err)
				continue
			}
			compare(t, when+": "+describe(q), got, oracle(all, q))
		}
	}
	put(b.item("alone"))
	check("one item")
	for i := range 59 {
		put(b.item(fmt.Sprint("item ", i)))
	}
	twin := all["item 7"]
	twin.ID = "item 7 again"
	twin.Meta = map[string]any{"price": -3.5}
	put(twin)
	check("61 items")
	for i := range 20 {
		if i%2 == 0 {
			put(b.item(fmt.Sprint("item ", i)))
			continue
		}
		id := fmt.Sprint("item ", i)
		delete(all, id)
		if n, err := b.Delete(b.ctx, []string{id}); err != nil || n != 1 {
			t.Fatalf("Delete: %d, error %v", n, err)
		}
	}
	check("after updates and deletions")
}

func compare(t *testing.T, name string, got, want []search.Hit) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d hits, want %d", name, len(got), len(want))
		return
	}
	near := func(a, b *float64) bool {
		return a == nil && b == nil || a != nil && b != nil && math.Abs(*a-*b) < 1e-4
	}
	for i, g := range got {
		w := want[i]
		if !same(g.Item, w.Item) || !near(&g.Score, &w.Score) || !near(g.ImageCosine, w.ImageCosine) || !near(g.TextCosine, w.TextCosine) {
			t.Errorf("%s: hit %d is %q with %.6f, want %q with %.6f\ngot  %+v\nwant %+v", name, i, g.ID, g.Score, w.ID, w.Score, g, w)
			return
		}
	}
}

func refusals(t *testing.T, b *bench) {
	good := b.item("good")
	if err := b.Put(b.ctx, []search.Item{good}); err != nil {
		t.Fatal(err)
	}
	other := b.item("other")
	short, long, nan := b.unit(0, 0.5), b.unit(0, 0.5), b.unit(0, 0.5)
	short, long[0], nan[0] = short[1:], 2, float32(math.NaN())
	for _, tt := range []struct {
		name string
		item search.Item
	}{
		{"no ID", search.Item{ImageVector: b.unit(0, 1)}},
		{"no vector", search.Item{ID: "x"}},
		{"a vector too short", search.Item{ID: "x", ImageVector: short}},
		{"a vector not of unit length", search.Item{ID: "x", TextVector: long}},
		{"a vector with NaN", search.Item{ID: "x", TextVector: nan}},
		{"metadata that JSON cannot hold", search.Item{ID: "x", TextVector: b.unit(0, 1), Meta: map[string]any{"f": math.Inf(1)}}},
	} {
		if err := b.Put(b.ctx, []search.Item{other, tt.item}); err == nil {
			t.Errorf("Put takes an item with %s", tt.name)
		}
	}
	term := search.Term{Vector: b.unit(0, 1), Kind: search.Texts, Weight: 1}
	for _, tt := range []struct {
		name  string
		query search.Query
	}{
		{"no terms", search.Query{K: 1}},
		{"K of 0", search.Query{Terms: []search.Term{term}}},
		{"an unknown fusion", search.Query{Terms: []search.Term{term}, K: 1, Fusion: "sum"}},
		{"an unknown modality", search.Query{Terms: []search.Term{term}, K: 1, In: "sound"}},
		{"a vector too short", search.Query{Terms: []search.Term{{Vector: short, Kind: search.Texts, Weight: 1}}, K: 1}},
		{"terms that cancel", search.Query{Terms: []search.Term{term, {Vector: term.Vector, Kind: search.Texts, Weight: -1}}, K: 1}},
		{"an unknown operation", search.Query{Terms: []search.Term{term}, K: 1, Filter: search.Filter{{Key: "a", Op: "~", Value: 1}}}},
		{"a list to compare with", search.Query{Terms: []search.Term{term}, K: 1, Filter: search.Filter{{Key: "a", Op: search.Equal, Value: []any{1}}}}},
	} {
		if _, err := b.Search(b.ctx, tt.query); err == nil {
			t.Errorf("Search takes a query with %s", tt.name)
		}
	}
	checkInfo(t, b, map[string]search.Item{"good": good})
	done, cancel := context.WithCancel(b.ctx)
	cancel()
	want := map[string]search.Item{"good": good}
	if err := b.Put(done, []search.Item{other}); err == nil {
		want["other"] = other // it may be done before it is stopped
	}
	checkInfo(t, b, want)
}

func together(t *testing.T, b *bench) {
	const workers, each = 4, 6
	items := make([][]search.Item, workers)
	for w := range items {
		for i := range each {
			items[w] = append(items[w], b.item(fmt.Sprintf("%d of %d", i, w)))
		}
	}
	var wait sync.WaitGroup
	for w, mine := range items {
		wait.Go(func() {
			for i, it := range mine {
				if err := b.Put(b.ctx, []search.Item{it, items[0][0]}); err != nil {
					t.Errorf("worker %d: %v", w, err)
					return
				}
				v, kind := it.ImageVector, search.Images
				if v == nil {
					v, kind = it.TextVector, search.Texts
				}
				q := search.Query{Terms: []search.Term{{Vector: v, Kind: kind, Weight: 1}}, In: kind, K: 1}
				hits, err := b.Search(b.ctx, q)
				if err != nil || len(hits) != 1 || hits[0].ID != it.ID {
					t.Errorf("worker %d does not find what it put: %v, error %v", w, hits, err)
					return
				}
				if i%2 == 1 {
					if n, err := b.Delete(b.ctx, []string{it.ID}); err != nil || n != 1 {
						t.Errorf("worker %d: Delete: %d, error %v", w, n, err)
					}
				}
			}
		})
	}
	wait.Wait()
	want := map[string]search.Item{}
	for _, mine := range items {
		for i := 0; i < each; i += 2 {
			want[mine[i].ID] = mine[i]
		}
	}
	checkInfo(t, b, want)
}
