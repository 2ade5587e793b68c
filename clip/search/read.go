package search

import (
	"context"
	"database/sql"
	"encoding/json"
	"iter"

	"github.com/pkg/errors"
)

// Get returns the items that exist, with their vectors, in the order asked.
func (f *File) Get(ctx context.Context, ids []string) ([]Item, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.closed {
		return nil, f.isClosed()
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return nil, errors.WithStack(err)
	}
	found := make(map[string]Item, len(ids))
	err = each(ctx, f.reads, `SELECT id, image, text, meta, i.vector, t.vector FROM items
		LEFT JOIN image_vectors i USING (row) LEFT JOIN text_vectors t USING (row)
		WHERE id IN (SELECT value FROM json_each(?))`, func(rows *sql.Rows) error {
		var it Item
		var meta string
		var image, text sql.RawBytes
		err := rows.Scan(&it.ID, &it.Image, &it.Text, &meta, &image, &text)
		if err != nil {
			return errors.WithStack(err)
		}
		if it.Meta, err = decodeMeta(meta); err != nil {
			return errors.Wrapf(err, "is damaged: item %q", it.ID)
		}
		for _, v := range []struct {
			blob []byte
			dst  *[]float32
		}{{image, &it.ImageVector}, {text, &it.TextVector}} {
			if v.blob == nil {
				continue
			}
			*v.dst = make([]float32, f.dim)
			if err := decodeVector(*v.dst, v.blob); err != nil {
				return errors.Wrapf(err, "is damaged: item %q", it.ID)
			}
		}
		found[it.ID] = it
		return nil
	}, string(list))
	if err != nil {
		return nil, errors.Wrapf(err, "search: %s", f.path)
	}
	items := make([]Item, 0, len(found))
	for _, id := range ids {
		if it, ok := found[id]; ok {
			items = append(items, it)
		}
	}
	return items, nil
}

// All gives all items by ID, without their vectors, as they were when it began.
func (f *File) All(ctx context.Context) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		f.mu.RLock()
		closed := f.closed
		f.mu.RUnlock()
		if closed {
			yield(Item{}, f.isClosed())
			return
		}
		enough := errors.New("enough")
		err := each(ctx, f.reads, "SELECT row, id, image, text, meta FROM items ORDER BY id", func(rows *sql.Rows) error {
			_, it, err := scanItem(rows)
			if err == nil && !yield(it, nil) {
				err = enough
			}
			return err
		})
		if err != nil && err != enough {
			yield(Item{}, errors.Wrapf(err, "search: %s", f.path))
		}
	}
}

func scanItem(rows *sql.Rows) (row int64, it Item, err error) {
	var meta string
	if err := rows.Scan(&row, &it.ID, &it.Image, &it.Text, &meta); err != nil {
		return 0, it, errors.WithStack(err)
	}
	it.Meta, err = decodeMeta(meta)
	return row, it, errors.Wrapf(err, "is damaged: item %q", it.ID)
}

// Search returns the best hits, the best first; equal scores by ID. With
// vectors of 8 bits in memory some may be missed. Deviations and means of a
// fusion are those of all items, ranks are among those that pass the filter.
func (f *File) Search(ctx context.Context, q Query) ([]Hit, error) {
	if err := q.Validate(f.dim); err != nil {
		return nil, err
	}
	hits, err := f.search(ctx, q)
	if errors.Is(err, errMoved) {
		// A writer was between the file and the table.
		f.writing.Lock()
		defer f.writing.Unlock()
		hits, err = f.search(ctx, q)
	}
	return hits, errors.Wrapf(err, "search: %s", f.path)
}

// errMoved says that a row of the table is no longer in the file.
var errMoved = errors.New("is damaged, or another program changes it: rows are missing")

func (f *File) search(ctx context.Context, q Query) ([]Hit, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.closed {
		return nil, errors.New("the index is closed")
	}
	if err := ctx.Err(); err != nil {
		return nil, errors.WithStack(err)
	}
	finds, err := f.table.search(q, func(m *matrix, slots []int32) ([][]float32, error) { return f.vectors(ctx, m, slots) })
	if err != nil || len(finds) == 0 {
		return nil, err
	}
	numbers := make([]int64, len(finds))
	for i, d := range finds {
		numbers[i] = f.table.rows[d.slot]
	}
	items := make(map[int64]Item, len(finds))
	err = f.byRow(ctx, "SELECT row, id, image, text, meta FROM items", numbers, func(rows *sql.Rows) error {
		row, it, err := scanItem(rows)
		items[row] = it
		return err
	})
	if err != nil {
		return nil, err
	}
	hits := make([]Hit, len(finds))
	for i, d := range finds {
		hits[i] = Hit{Item: items[numbers[i]], Score: d.score, ImageCosine: d.image, TextCosine: d.text}
	}
	return hits, nil
}

// vectors returns the vectors of slots in full precision.
func (f *File) vectors(ctx context.Context, m *matrix, slots []int32) ([][]float32, error) {
	vectors := make([][]float32, len(slots))
	if !m.int8 {
		for i, slot := range slots {
			vectors[i] = m.chunks[slot/chunkRows].float[int(slot)%chunkRows*f.dim:][:f.dim]
		}
		return vectors, nil
	}
	numbers := make([]int64, len(slots))
	at := make(map[int64]int, len(slots))
	for i, slot := range slots {
		numbers[i] = f.table.rows[slot]
		at[numbers[i]] = i
	}
	err := f.byRow(ctx, "SELECT row, vector FROM "+f.table.vectors(m), numbers, func(rows *sql.Rows) error {
		var row int64
		var blob sql.RawBytes
		if err := rows.Scan(&row, &blob); err != nil {
			return errors.WithStack(err)
		}
		v := make([]float32, f.dim)
		vectors[at[row]] = v
		return decodeVector(v, blob)
	})
	return vectors, err
}

// byRow runs a query for rows of these numbers and expects all of them.
func (f *File) byRow(ctx context.Context, query string, numbers []int64, scan func(*sql.Rows) error) error {
	if len(numbers) == 0 {
		return nil
	}
	list, err := json.Marshal(numbers)
	if err != nil {
		return errors.WithStack(err)
	}
	got := 0
	err = each(ctx, f.reads, query+" WHERE row IN (SELECT value FROM json_each(?))", func(rows *sql.Rows) error {
		got++
		return scan(rows)
	}, string(list))
	if err == nil && got != len(numbers) {
		err = errors.WithStack(errMoved)
	}
	return err
}
