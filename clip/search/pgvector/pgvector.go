// Package pgvector keeps a search index in PostgreSQL with the extension
// pgvector, 0.8 or later.
//
// One table holds the items; its comment states the model. Scores, fusion and
// filters are computed by the server.
//
// What is exact: without Options.HNSW everything is, by a scan of the table.
// With it, candidates are the 4·K (at least 100) nearest of each modality as
// HNSW finds them (arXiv:1603.09320), so that an item among neither may be
// missed, ranks of search.Reciprocal are those among the candidates, and means
// and deviations are of about 10000 rows drawn by chance.
package pgvector

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/pkg/errors"

	"tessera/clip/search"
)

// Options describe an index and the database it is in.
type Options struct {
	URL   string // postgres://user:password@host:port/database, or key=value pairs
	Table string // the name of the index: small letters, digits and _, at most 48
	Dim   int    // D; 0 takes that of a table which exists
	Model string // hash of the model; "" takes that of a table which exists
	HNSW  bool   // search by HNSW, whose indexes are made if need be; D ≤ 2000
	Conns int    // connections at once, at most; 0 means 4
}

// An Index is a table of a database.
type Index struct {
	pool  *pool
	table string // fit to stand in SQL
	about about
	hnsw  bool
}

var _ search.Index = (*Index)(nil)

// about is what the comment of the table holds, as JSON.
type about struct {
	Model string `json:"model"`
	Dim   int    `json:"dim"`
}

// Room is left for the suffixes of indexes within PostgreSQL's 63 bytes.
var tableName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,47}$`)

// Open opens the index named by o, and creates it if Dim and Model are given
// and it does not exist. An index of another model or width is refused.
func Open(ctx context.Context, o Options) (*Index, error) {
	if !tableName.MatchString(o.Table) {
		return nil, errors.Errorf("pgvector: table %q, want a small letter or _, then up to 47 small letters, digits and _", o.Table)
	}
	if o.Dim < 0 || o.Conns < 0 {
		return nil, errors.Errorf("pgvector: width %d and %d connections, want none below 0", o.Dim, o.Conns)
	}
	config, err := pgx.ParseConfig(o.URL)
	if err != nil {
		return nil, errors.Wrap(err, "pgvector: URL") // pgx leaves the password out
	}
	conns := o.Conns
	if conns == 0 {
		conns = 4
	}
	x := &Index{pool: newPool(config, conns), table: pgx.Identifier{o.Table}.Sanitize(), hnsw: o.HNSW}
	if err := x.open(ctx, o); err != nil {
		x.Close()
		return nil, err
	}
	return x, nil
}

func (x *Index) open(ctx context.Context, o Options) error {
	return x.pool.tx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		// Two programs may want to make the table at once.
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtext('tessera search'))"); err != nil {
			return errors.Wrap(err, "pgvector")
		}
		var exists bool
		if err := tx.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", x.table).Scan(&exists); err != nil {
			return errors.Wrap(err, "pgvector")
		}
		if !exists {
			if o.Dim == 0 || o.Model == "" {
				return errors.Errorf("pgvector: there is no table %s; a new one needs the width and the model", x.table)
			}
			if err := x.create(ctx, tx, o); err != nil {
				return err
			}
		}
		var comment *string
		if err := tx.QueryRow(ctx, "SELECT obj_description(to_regclass($1), 'pg_class')", x.table).Scan(&comment); err != nil {
			return errors.Wrap(err, "pgvector")
		}
		switch {
		case comment == nil || json.Unmarshal([]byte(*comment), &x.about) != nil || x.about.Model == "" || x.about.Dim <= 0:
			return errors.Errorf("pgvector: table %s is no search index: its comment does not state a model", x.table)
		case o.Model != "" && o.Model != x.about.Model:
			return errors.Errorf("pgvector: table %s was made with model %s, not %s; index into another table", x.table, x.about.Model, o.Model)
		case o.Dim != 0 && o.Dim != x.about.Dim:
			return errors.Errorf("pgvector: table %s holds vectors of %d values, not %d; index into another table", x.table, x.about.Dim, o.Dim)
		}
		if !x.hnsw {
			return nil
		}
		for _, column := range []string{"image_vector", "text_vector"} {
			_, err := tx.Exec(ctx, fmt.Sprintf("CREATE INDEX IF NOT EXISTS %s ON %s USING hnsw (%s vector_ip_ops)",
				pgx.Identifier{o.Table + "_" + column}.Sanitize(), x.table, column))
			if err != nil {
				return errors.Wrapf(err, "pgvector: table %s: HNSW index of %s", x.table, column)
			}
		}
		return nil
	})
}

func (x *Index) create(ctx context.Context, tx pgx.Tx, o Options) error {
	comment, err := json.Marshal(about{o.Model, o.Dim})
	if err != nil {
		return errors.Wrap(err, "pgvector")
	}
	var quoted string // COMMENT takes no parameters
	if err := tx.QueryRow(ctx, "SELECT quote_literal($1::text)", string(comment)).Scan(&quoted); err != nil {
		return errors.Wrap(err, "pgvector")
	}
	// The collation of IDs orders them by their bytes.
	for _, q := range []string{
		"CREATE EXTENSION IF NOT EXISTS vector",
		fmt.Sprintf(`CREATE TABLE %s (
			id text COLLATE "C" PRIMARY KEY,
			image text NOT NULL,
			text text NOT NULL,
			meta jsonb NOT NULL,
			image_vector vector(%[2]d),
			text_vector vector(%[2]d))`, x.table, o.Dim),
		fmt.Sprintf("COMMENT ON TABLE %s IS %s", x.table, quoted),
	} {
		if _, err := tx.Exec(ctx, q); err != nil {
			return errors.Wrapf(err, "pgvector: table %s: %s", x.table, strings.Fields(q)[0:2])
		}
	}
	return nil
}

// Close ends the connections that are not in use, and the others once they are
// done.
func (x *Index) Close() error { return x.pool.close() }
