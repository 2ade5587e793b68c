package search

import (
	"context"
	"database/sql"
	"encoding/binary"
	"math"

	"github.com/pkg/errors"
)

// load reads an index into memory. next is the first row that was never used.
func load(ctx context.Context, r reader, dim int, p Precision) (t *table, next int64, err error) {
	t = newTable(dim, p)
	next = 1
	err = each(ctx, r, "SELECT row, id, meta FROM items ORDER BY row", func(rows *sql.Rows) error {
		var row int64
		var id, meta string
		if err := rows.Scan(&row, &id, &meta); err != nil {
			return errors.WithStack(err)
		}
		fields, err := decodeFields(meta)
		if err != nil {
			return errors.Wrapf(err, "is damaged: item %q", id)
		}
		if row < 1 {
			return errors.Errorf("is damaged: item %q is in row %d", id, row)
		}
		t.add(row, Item{ID: id}, fields)
		next = row + 1
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	for _, m := range []*matrix{t.images, t.texts} {
		slot := 0
		v := make([]float32, dim)
		err := each(ctx, r, "SELECT row, vector FROM "+t.vectors(m)+" ORDER BY row", func(rows *sql.Rows) error {
			var row int64
			var blob sql.RawBytes
			if err := rows.Scan(&row, &blob); err != nil {
				return errors.WithStack(err)
			}
			for slot < len(t.rows) && t.rows[slot] < row {
				slot++
			}
			if slot == len(t.rows) || t.rows[slot] != row {
				return errors.Errorf("is damaged: row %d of %s belongs to no item", row, t.vectors(m))
			}
			if err := decodeVector(v, blob); err != nil {
				return errors.Wrapf(err, "is damaged: item %q: %s", t.ids[slot], t.vectors(m))
			}
			m.set(slot, v)
			return nil
		})
		if err != nil {
			return nil, 0, err
		}
	}
	for slot, id := range t.ids {
		if !t.images.has(slot) && !t.texts.has(slot) {
			return nil, 0, errors.Errorf("is damaged: item %q has no vector", id)
		}
	}
	return t, next, nil
}

// vectors names the table on disk of a matrix.
func (t *table) vectors(m *matrix) string {
	if m == t.images {
		return "image_vectors"
	}
	return "text_vectors"
}

// each calls f for every row of an answer.
func each(ctx context.Context, r reader, query string, f func(*sql.Rows) error, args ...any) error {
	rows, err := r.QueryContext(ctx, query, args...)
	if err != nil {
		return unreadable(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return unreadable(err)
	}
	return nil
}

// encodeVector gives a vector as it is stored: little-endian float32.
func encodeVector(v []float32) []byte {
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

func decodeVector(v []float32, b []byte) error {
	if len(b) != 4*len(v) {
		return errors.Errorf("a vector of %d bytes, want %d", len(b), 4*len(v))
	}
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return validVector(v, len(v))
}
