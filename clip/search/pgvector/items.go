package pgvector

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/pkg/errors"

	"tessera/clip/search"
)

// Put implements search.Index, in one transaction.
func (x *Index) Put(ctx context.Context, items []search.Item) error {
	for _, it := range items {
		if err := it.Validate(x.about.Dim); err != nil {
			return err
		}
	}
	// All writers lock rows in one order, so that none waits for the other. An
	// item given twice counts as given last.
	items = slices.SortedStableFunc(slices.Values(items), func(a, b search.Item) int { return cmp.Compare(a.ID, b.ID) })
	put := fmt.Sprintf(`INSERT INTO %s VALUES ($1, $2, $3, $4::text::jsonb, $5::real[]::vector, $6::real[]::vector)
		ON CONFLICT (id) DO UPDATE SET image = EXCLUDED.image, text = EXCLUDED.text, meta = EXCLUDED.meta,
		image_vector = EXCLUDED.image_vector, text_vector = EXCLUDED.text_vector`, x.table)
	var b pgx.Batch
	for _, it := range items {
		meta := []byte("{}")
		if len(it.Meta) > 0 {
			var err error
			if meta, err = json.Marshal(it.Meta); err != nil {
				return errors.Wrapf(err, "pgvector: item %q: metadata", it.ID)
			}
		}
		b.Queue(put, it.ID, it.Image, it.Text, string(meta), it.ImageVector, it.TextVector)
	}
	return x.pool.tx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		sent := tx.SendBatch(ctx, &b)
		for _, it := range items {
			if _, err := sent.Exec(); err != nil {
				sent.Close()
				return errors.Wrapf(err, "pgvector: item %q", it.ID)
			}
		}
		return errors.Wrap(sent.Close(), "pgvector")
	})
}

// Delete implements search.Index.
func (x *Index) Delete(ctx context.Context, ids []string) (n int, err error) {
	err = x.pool.tx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, fmt.Sprintf(
			"DELETE FROM %[1]s WHERE id IN (SELECT id FROM %[1]s WHERE id = ANY($1) ORDER BY id FOR UPDATE)", x.table), ids)
		n = int(tag.RowsAffected())
		return errors.Wrap(err, "pgvector")
	})
	return n, err
}

// Get implements search.Index.
func (x *Index) Get(ctx context.Context, ids []string) ([]search.Item, error) {
	found := make(map[string]search.Item, len(ids))
	err := x.pool.tx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, fmt.Sprintf(
			"SELECT id, image, text, meta::text, image_vector::real[], text_vector::real[] FROM %s WHERE id = ANY($1)", x.table), ids)
		if err != nil {
			return errors.Wrap(err, "pgvector")
		}
		defer rows.Close()
		for rows.Next() {
			var it search.Item
			var meta string
			if err := rows.Scan(&it.ID, &it.Image, &it.Text, &meta, &it.ImageVector, &it.TextVector); err != nil {
				return errors.Wrap(err, "pgvector")
			}
			if it.Meta, err = readMeta(it.ID, meta); err != nil {
				return err
			}
			found[it.ID] = it
		}
		return errors.Wrap(rows.Err(), "pgvector")
	})
	var items []search.Item
	for _, id := range ids {
		if it, ok := found[id]; ok {
			items = append(items, it)
		}
	}
	return items, err
}

// listed is how many items are read at once by All.
const listed = 1000

// All gives all items by ID, without their vectors. Between pages of 1000 no
// connection is held, so that an item that is written meanwhile may be missed.
func (x *Index) All(ctx context.Context) iter.Seq2[search.Item, error] {
	return func(yield func(search.Item, error) bool) {
		for after := ""; ; { // no ID is empty
			page, err := x.page(ctx, after)
			if err != nil {
				yield(search.Item{}, err)
				return
			}
			for _, it := range page {
				if !yield(it, nil) {
					return
				}
			}
			if len(page) < listed {
				return
			}
			after = page[len(page)-1].ID
		}
	}
}

func (x *Index) page(ctx context.Context, after string) (page []search.Item, err error) {
	err = x.pool.tx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, fmt.Sprintf("SELECT id, image, text, meta::text FROM %s WHERE id > $1 ORDER BY id LIMIT %d", x.table, listed), after)
		if err != nil {
			return errors.Wrap(err, "pgvector")
		}
		defer rows.Close()
		for rows.Next() {
			var it search.Item
			var meta string
			if err := rows.Scan(&it.ID, &it.Image, &it.Text, &meta); err != nil {
				return errors.Wrap(err, "pgvector")
			}
			if it.Meta, err = readMeta(it.ID, meta); err != nil {
				return err
			}
			page = append(page, it)
		}
		return errors.Wrap(rows.Err(), "pgvector")
	})
	return page, err
}

// readMeta reads the column meta.
func readMeta(id, s string) (map[string]any, error) {
	if s == "{}" {
		return nil, nil
	}
	var meta map[string]any
	return meta, errors.Wrapf(json.Unmarshal([]byte(s), &meta), "pgvector: item %q: metadata", id)
}

// Info implements search.Index.
func (x *Index) Info(ctx context.Context) (search.Info, error) {
	info := search.Info{Model: x.about.Model, Dim: x.about.Dim}
	err := x.pool.tx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		return errors.Wrap(tx.QueryRow(ctx, fmt.Sprintf(
			"SELECT count(*), count(image_vector), count(text_vector), pg_total_relation_size(to_regclass($1)) FROM %s", x.table), x.table).
			Scan(&info.Items, &info.Images, &info.Texts, &info.Bytes), "pgvector")
	})
	return info, err
}
