package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"slices"
	"strings"

	"tessera/clip/embed"
	"tessera/clip/search"
)

// putBatch is how many items are written at once.
const putBatch = 64

// indexing brings an index up to date.
type indexing struct {
	index    search.Index
	m        *embed.Model
	log      *slog.Logger
	progress func(total int) func(done int) error
	indexReport

	pending []pending
}

// pending is an item to be written, which lacks the vector of its text.
type pending struct {
	search.Item
	texts []string
	count *int // where it counts once it is written
}

// sync makes the items of a root those of its files.
func (x *indexing) sync(ctx context.Context, s sources) error {
	x.Failed += s.faults
	var fresh []source
	stale := map[string]bool{} // of fresh: those that are in the index already
	for part := range slices.Chunk(s.files, 256) {
		if err := x.compare(ctx, s.root, part, func(f source, known bool) {
			fresh = append(fresh, f)
			stale[f.path] = known
		}); err != nil {
			return err
		}
	}
	gone, err := x.gone(ctx, s)
	if err != nil {
		return err
	}
	if fresh, err = x.follow(ctx, s.root, fresh, gone); err != nil {
		return err
	}
	if err := x.take(ctx, s.root, fresh, stale); err != nil {
		return err
	}
	var ids []string
	for id := range gone {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	if len(ids) == 0 {
		return nil
	}
	n, err := x.index.Delete(ctx, ids)
	x.Removed += n
	return err
}

// compare writes what has changed but for the image, and calls fresh with files
// whose image is to be embedded.
func (x *indexing) compare(ctx context.Context, root string, files []source, fresh func(f source, known bool)) error {
	ids := make([]string, len(files))
	for i, f := range files {
		ids[i] = f.path
	}
	items, err := x.index.Get(ctx, ids)
	if err != nil {
		return err
	}
	known := map[string]search.Item{}
	for _, it := range items {
		known[it.ID] = it
	}
	for _, f := range files {
		it, ok := known[f.path]
		if !ok || it.ImageVector == nil {
			fresh(f, ok)
			continue
		}
		hash, _ := it.Meta[metaHash].(string)
		same := it.Meta[metaTime] == f.time && number(it.Meta[metaSize]) == float64(f.size)
		if same && it.Text == strings.Join(f.texts, "\n") && sameMeta(it.Meta, f.meta) {
			x.Unchanged++
			continue
		}
		if !same {
			now, err := hashFile(f.path)
			if err != nil || now != hash {
				fresh(f, true) // reading it again will tell what is wrong
				continue
			}
		}
		if err := x.put(ctx, x.item(root, f, hash, it.ImageVector), f.texts, &x.Changed); err != nil {
			return err
		}
	}
	return x.flush(ctx)
}

// gone are the items of a root whose files are not there any more.
func (x *indexing) gone(ctx context.Context, s sources) (map[string]search.Item, error) {
	if s.faults > 0 {
		x.log.Warn("nothing is removed, as not all files could be looked at", "of", s.root)
		return nil, nil
	}
	there := map[string]bool{}
	for _, f := range s.files {
		there[f.path] = true
	}
	all, err := allOf(ctx, x.index, search.Filter{{Key: metaRoot, Op: search.Equal, Value: s.root}})
	if err != nil {
		x.log.Warn("nothing is removed, as the items cannot be listed", "of", s.root, "error", err.Error())
		return nil, ctx.Err()
	}
	gone := map[string]search.Item{}
	for _, it := range all {
		if !there[it.ID] {
			gone[it.ID] = it
		}
	}
	return gone, nil
}

// follow finds files that were moved, writes them, and returns the others. The
// items of their old places are deleted from the index and from gone.
func (x *indexing) follow(ctx context.Context, root string, files []source, gone map[string]search.Item) (rest []source, err error) {
	byHash, sizes := map[string][]string{}, map[float64]bool{}
	for id, it := range gone {
		if hash, ok := it.Meta[metaHash].(string); ok {
			byHash[hash] = append(byHash[hash], id)
			sizes[number(it.Meta[metaSize])] = true
		}
	}
	for _, ids := range byHash {
		slices.Sort(ids)
	}
	var left []string
	for _, f := range files {
		hash := ""
		if sizes[float64(f.size)] {
			hash, _ = hashFile(f.path) // reading it again will tell what is wrong
		}
		ids := byHash[hash]
		if len(ids) == 0 {
			rest = append(rest, f)
			continue
		}
		byHash[hash] = ids[1:]
		old, err := x.index.Get(ctx, ids[:1])
		if err != nil {
			return nil, err
		}
		if len(old) == 0 || old[0].ImageVector == nil {
			rest = append(rest, f)
			continue
		}
		if err := x.put(ctx, x.item(root, f, hash, old[0].ImageVector), f.texts, &x.Moved); err != nil {
			return nil, err
		}
		left = append(left, ids[0])
		delete(gone, ids[0])
	}
	if err := x.flush(ctx); err != nil || len(left) == 0 {
		return rest, err
	}
	_, err = x.index.Delete(ctx, left)
	return rest, err
}

// take embeds files and writes them.
func (x *indexing) take(ctx context.Context, root string, files []source, stale map[string]bool) error {
	if len(files) == 0 {
		return nil
	}
	paths, byPath := make([]string, len(files)), map[string]source{}
	for i, f := range files {
		paths[i], byPath[f.path] = f.path, f
	}
	show, done := x.progress(len(files)), 0
	var damaged []string
	skip := func(path string, err error) {
		x.Failed++
		done++
		x.log.Warn("skipped", "image", path, "error", err.Error())
		if stale[path] {
			damaged = append(damaged, path) // the item is not that of the file any more
		}
	}
	err := x.m.Files(ctx, paths, func(path string, vector []float32) error {
		hash, err := hashFile(path)
		if err != nil {
			skip(path, err)
			return nil
		}
		count := &x.New
		if stale[path] {
			count = &x.Changed
		}
		if err := x.put(ctx, x.item(root, byPath[path], hash, vector), byPath[path].texts, count); err != nil {
			return err
		}
		done++
		return show(done)
	}, skip)
	// What was embedded is written even when the command was interrupted.
	if e := x.flush(context.WithoutCancel(ctx)); err == nil {
		err = e
	}
	if err != nil || len(damaged) == 0 {
		return err
	}
	_, err = x.index.Delete(ctx, damaged)
	return err
}

func (x *indexing) item(root string, f source, hash string, vector []float32) search.Item {
	meta := map[string]any{metaRoot: root, metaSize: f.size, metaTime: f.time, metaHash: hash}
	for k, v := range f.meta {
		meta[k] = v
	}
	return search.Item{ID: f.path, Image: f.path, Text: strings.Join(f.texts, "\n"), Meta: meta, ImageVector: vector}
}

// put writes an item, with others.
func (x *indexing) put(ctx context.Context, it search.Item, texts []string, count *int) error {
	if err := it.Validate(x.m.Dim()); err != nil {
		x.Failed++
		x.log.Warn("skipped", "image", it.Image, "error", err.Error())
		return nil
	}
	x.pending = append(x.pending, pending{it, texts, count})
	if len(x.pending) < putBatch {
		return nil
	}
	return x.flush(ctx)
}

func (x *indexing) flush(ctx context.Context) error {
	if len(x.pending) == 0 {
		return nil
	}
	texts := make([][]string, len(x.pending))
	items := make([]search.Item, len(x.pending))
	for i, p := range x.pending {
		texts[i] = p.texts
	}
	vectors, err := embedCaptions(ctx, x.m, texts)
	if err != nil {
		return err
	}
	for i, p := range x.pending {
		items[i] = p.Item
		items[i].TextVector = vectors[i]
	}
	if err := x.index.Put(ctx, items); err != nil {
		return err
	}
	for _, p := range x.pending {
		*p.count++
	}
	x.pending = x.pending[:0]
	return nil
}

// embedCaptions gives a unit vector (E) for each list of captions, the direction
// of their sum, nil for none.
func embedCaptions(ctx context.Context, m *embed.Model, texts [][]string) ([][]float32, error) {
	rows, err := m.Texts(ctx, slices.Concat(texts...))
	if err != nil {
		return nil, err
	}
	out := make([][]float32, len(texts))
	for i, own := range texts {
		if len(own) > 0 {
			out[i] = meanDirection(rows[:len(own)])
		}
		rows = rows[len(own):]
	}
	return out, nil
}

// meanDirection is the sum of unit vectors, scaled to unit length; the first of
// them where they cancel each other.
func meanDirection(rows [][]float32) []float32 {
	sum := make([]float64, len(rows[0]))
	square := 0.0
	for i := range sum {
		for _, row := range rows {
			sum[i] += float64(row[i])
		}
		square += sum[i] * sum[i]
	}
	if square < 1e-9 {
		return rows[0]
	}
	out := make([]float32, len(sum))
	for i, v := range sum {
		out[i] = float32(v / math.Sqrt(square))
	}
	return out
}

// number is a number of metadata, or NaN.
func number(v any) float64 {
	switch v := v.(type) {
	case float64:
		return v
	case int64:
		return float64(v)
	case json.Number:
		if f, err := v.Float64(); err == nil {
			return f
		}
	}
	return math.NaN()
}

// sameMeta tells whether what is stored is meta and the keys that an index sets.
func sameMeta(stored, meta map[string]any) bool {
	own := map[string]any{}
	for k, v := range stored {
		switch k {
		case metaRoot, metaSize, metaTime, metaHash:
		default:
			own[k] = v
		}
	}
	if len(own) == 0 && len(meta) == 0 {
		return true
	}
	a, errA := json.Marshal(own)
	b, errB := json.Marshal(meta)
	return errA == nil && errB == nil && string(a) == string(b)
}
