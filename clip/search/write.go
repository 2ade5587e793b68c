package search

import (
	"context"
	"database/sql"
	"math"

	"tessera/clip/search/internal/score"

	"github.com/pkg/errors"
)

// Put adds items, replacing those of the same ID; of several with one ID in a
// call the last counts. Vectors are scaled to unit length.
func (f *File) Put(ctx context.Context, items []Item) error {
	changes := make([]change, 0, len(items))
	at := make(map[string]int, len(items))
	for _, it := range items {
		if err := it.Validate(f.dim); err != nil {
			return err
		}
		meta, err := encodeMeta(it.Meta)
		if err != nil {
			return errors.Wrapf(err, "search: item %q: metadata", it.ID)
		}
		fields, err := decodeFields(meta)
		if err != nil {
			return errors.Wrapf(err, "search: item %q", it.ID)
		}
		it.ImageVector, it.TextVector = unit(it.ImageVector), unit(it.TextVector)
		c := change{id: it.ID, item: &it, meta: meta, fields: fields}
		if i, twice := at[it.ID]; twice {
			changes[i] = c
			continue
		}
		at[it.ID] = len(changes)
		changes = append(changes, c)
	}
	_, err := f.change(ctx, changes)
	return err
}

// Delete removes items and returns how many there were.
func (f *File) Delete(ctx context.Context, ids []string) (int, error) {
	changes := make([]change, 0, len(ids))
	seen := make(map[string]bool, len(ids))
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			changes = append(changes, change{id: id})
		}
	}
	return f.change(ctx, changes)
}

// change puts or removes one item.
type change struct {
	id     string
	item   *Item // nil: removed
	meta   string
	fields []field

	row      int64 // new
	old      int64 // row that goes, 0 for none
	oldImage []float32
	oldText  []float32
}

// change applies changes, all or none, first to the file and then to the table.
// It returns how many items there were before.
func (f *File) change(ctx context.Context, changes []change) (replaced int, err error) {
	f.writing.Lock()
	defer f.writing.Unlock()
	// Only writers change what is read here, so f.mu is not needed.
	switch {
	case f.closed:
		return 0, f.isClosed()
	case f.locked == nil:
		return 0, errors.Errorf("search: %s is open for reading only", f.path)
	case len(changes) == 0:
		return 0, ctx.Err()
	}
	if err := f.commit(ctx, changes); err != nil {
		return 0, errors.Wrapf(err, "search: %s: nothing was changed", f.path)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range changes {
		if c.old != 0 {
			f.table.remove(c.id, c.oldImage, c.oldText)
			replaced++
		}
		if c.item != nil {
			f.table.add(c.row, *c.item, c.fields)
		}
	}
	return replaced, nil
}

// commit writes changes to the file.
func (f *File) commit(ctx context.Context, changes []change) error {
	// A context would roll back by itself, perhaps while the table changes.
	tx, err := f.db.Begin()
	if err != nil {
		return errors.WithStack(err)
	}
	defer tx.Rollback()
	w := writer{tx: tx, statements: map[string]*sql.Stmt{}}
	for i := range changes {
		if err := ctx.Err(); err != nil {
			return errors.WithStack(err)
		}
		c := &changes[i]
		if slot, ok := f.table.slots[c.id]; ok {
			c.old = f.table.rows[slot]
			if c.oldImage, err = w.remove("image_vectors", c.old, f.dim, f.table.images.has(int(slot))); err != nil {
				return errors.Wrapf(err, "item %q", c.id)
			}
			if c.oldText, err = w.remove("text_vectors", c.old, f.dim, f.table.texts.has(int(slot))); err != nil {
				return errors.Wrapf(err, "item %q", c.id)
			}
			w.exec("DELETE FROM items WHERE row = ?", c.old)
		}
		if it := c.item; it != nil {
			c.row = f.next
			f.next++ // even if this fails
			w.exec("INSERT INTO items (row, id, image, text, meta) VALUES (?, ?, ?, ?, ?)", c.row, it.ID, it.Image, it.Text, c.meta)
			if it.ImageVector != nil {
				w.exec("INSERT INTO image_vectors (row, vector) VALUES (?, ?)", c.row, encodeVector(it.ImageVector))
			}
			if it.TextVector != nil {
				w.exec("INSERT INTO text_vectors (row, vector) VALUES (?, ?)", c.row, encodeVector(it.TextVector))
			}
		}
		if w.err != nil {
			return errors.Wrapf(w.err, "item %q", c.id)
		}
	}
	return errors.WithStack(tx.Commit())
}

// writer runs statements until one fails.
type writer struct {
	tx         *sql.Tx
	statements map[string]*sql.Stmt
	err        error
}

func (w *writer) statement(query string) *sql.Stmt {
	s := w.statements[query]
	if s == nil && w.err == nil {
		s, w.err = w.tx.Prepare(query) // closed with the transaction
		w.statements[query] = s
	}
	return s
}

func (w *writer) exec(query string, args ...any) {
	if s := w.statement(query); w.err == nil {
		_, w.err = s.Exec(args...)
	}
}

// remove deletes a vector, if there is one, and returns it.
func (w *writer) remove(table string, row int64, dim int, exists bool) ([]float32, error) {
	if !exists {
		return nil, nil
	}
	v := make([]float32, dim)
	var blob []byte
	if s := w.statement("SELECT vector FROM " + table + " WHERE row = ?"); w.err == nil {
		w.err = s.QueryRow(row).Scan(&blob)
	}
	if w.err == nil {
		w.err = decodeVector(v, blob)
	}
	w.exec("DELETE FROM "+table+" WHERE row = ?", row)
	return v, w.err
}

// unit scales a vector to unit length, unless rounding is all that is missing;
// nil stays nil.
func unit(v []float32) []float32 {
	if v == nil {
		return nil
	}
	norm := math.Sqrt(score.Product(v, v))
	if math.Abs(norm-1) < 1e-6 {
		return v
	}
	u := make([]float32, len(v))
	for i, x := range v {
		u[i] = float32(float64(x) / norm)
	}
	return u
}
