package pgvector

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/pkg/errors"

	"tessera/clip/search"
	"tessera/clip/search/internal/score"
)

const (
	nearest = 100   // candidates of a modality that HNSW looks for, at least
	drawn   = 10000 // rows that stand for all with HNSW
)

// column of a modality's vectors.
func column(m search.Modality) string { return string(m) + "_vector" }

// Search implements search.Index; the package says what is approximate.
func (x *Index) Search(ctx context.Context, q search.Query) ([]search.Hit, error) {
	if err := q.Validate(x.about.Dim); err != nil {
		return nil, err
	}
	q.Fusion = q.Fuses()
	var hits []search.Hit
	// One snapshot for all statements.
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err := x.pool.tx(ctx, options, func(tx pgx.Tx) error {
		if x.hnsw {
			// With a filter, go on until enough rows pass.
			_, err := tx.Exec(ctx, "SELECT set_config('hnsw.ef_search', $1, true), set_config('hnsw.iterative_scan', 'strict_order', true)",
				fmt.Sprint(min(max(nearest, 4*q.K), 1000)))
			if err != nil {
				return errors.Wrap(err, "pgvector")
			}
		}
		statement, a, err := x.statement(ctx, tx, q)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, statement, a...)
		if err != nil {
			return errors.Wrap(err, "pgvector")
		}
		defer rows.Close()
		for rows.Next() {
			var h search.Hit
			var meta string
			if err := rows.Scan(&h.ID, &h.Image, &h.Text, &meta, &h.ImageCosine, &h.TextCosine, &h.Score); err != nil {
				return errors.Wrap(err, "pgvector")
			}
			if h.Meta, err = readMeta(h.ID, meta); err != nil {
				return err
			}
			hits = append(hits, h)
		}
		return errors.Wrap(rows.Err(), "pgvector")
	})
	return hits, err
}

// statement writes the query: candidates, their scores by modality, the fusion
// of these and the best of all.
func (x *Index) statement(ctx context.Context, tx pgx.Tx, q search.Query) (string, args, error) {
	vector, err := q.Vector()
	if err != nil {
		return "", nil, err
	}
	var a args
	cosine := a.vector(vector)
	sides, err := x.sides(ctx, tx, q, vector, cosine, &a)
	if err != nil {
		return "", nil, err
	}
	on, err := where(q.Filter, &a)
	if err != nil {
		return "", nil, err
	}
	var has, near []string
	for _, s := range sides {
		has = append(has, column(s.kind)+" IS NOT NULL")
		near = append(near, fmt.Sprintf("(SELECT id FROM %[1]s WHERE %[2]s IS NOT NULL AND %[3]s ORDER BY %[2]s <#> %[4]s LIMIT %[5]d)",
			x.table, column(s.kind), on, s.query, max(nearest, 4*q.K)))
	}
	candidates := "(" + strings.Join(has, " OR ") + ") AND " + on
	if x.hnsw {
		candidates = "id IN (" + strings.Join(near, " UNION ") + ")"
	}
	one, two := sides[0].score, "NULL::float8"
	if len(sides) == 2 {
		two = sides[1].score
	}
	fused := "CASE WHEN one IS NULL THEN two WHEN two IS NULL THEN one ELSE (one + two) / 2 END"
	if q.Fusion == search.Reciprocal {
		fused = rank("one") + " + " + rank("two")
	}
	least := ""
	if q.MinScore != nil {
		least = " WHERE score >= " + a.add(*q.MinScore) + "::float8"
	}
	return fmt.Sprintf(`WITH scored AS (
		SELECT id, image, text, meta,
			-(image_vector <#> %[1]s) AS image_cosine, -(text_vector <#> %[1]s) AS text_cosine,
			%[2]s AS one, %[3]s AS two
		FROM %[4]s WHERE %[5]s),
	fused AS (SELECT *, %[6]s AS score FROM scored)
	SELECT id, image, text, meta::text, image_cosine, text_cosine, score FROM fused%[7]s ORDER BY score DESC, id LIMIT %[8]d`,
		cosine, one, two, x.table, candidates, fused, least, q.K), a, nil
}

// rank gives 1/(60 + rank) by a column of scores, 0 where there is none.
func rank(column string) string {
	return fmt.Sprintf("CASE WHEN %[1]s IS NULL THEN 0 ELSE 1 / (%[2]d + row_number() OVER (ORDER BY %[1]s DESC NULLS LAST, id))::float8 END", column, score.RankOffset)
}

// A side is one modality of a search.
type side struct {
	kind  search.Modality
	query string // placeholder of the vector whose products order the items
	score string // NULL without a vector
}

func (x *Index) sides(ctx context.Context, tx pgx.Tx, q search.Query, vector []float32, cosine string, a *args) ([]side, error) {
	var sides []side
	for _, kind := range []search.Modality{search.Images, search.Texts} {
		if q.In == search.Either || q.In == kind {
			sides = append(sides, side{kind, cosine, fmt.Sprintf("-(%s <#> %s)", column(kind), cosine)})
		}
	}
	switch q.Fusion {
	case search.Centred:
		means, err := x.means(ctx, tx)
		if err != nil {
			return nil, err
		}
		wide := make(map[search.Modality][]float64, len(means))
		for kind, mean := range means {
			for _, v := range mean {
				wide[kind] = append(wide[kind], float64(v))
			}
		}
		centred := a.vector(q.Centred(wide))
		for i, s := range sides {
			sides[i].query, sides[i].score = centred, fmt.Sprintf("-(%s <#> %s)", column(s.kind), centred)
			if mean := means[s.kind]; mean != nil {
				sides[i].score = fmt.Sprintf(`CASE WHEN %[1]s IS NULL THEN NULL
					WHEN %[1]s <-> %[2]s > %[4]g THEN -((%[1]s - %[2]s) <#> %[3]s) / (%[1]s <-> %[2]s) ELSE 0 END`,
					column(s.kind), a.vector(mean), centred, score.Vanishing)
			}
		}
	case search.Standardized:
		for i, s := range sides {
			mean, deviation, err := x.moments(ctx, tx, s.kind, vector)
			if err != nil {
				return nil, err
			}
			sides[i].score = fmt.Sprintf("(%s - %s::float8) * %s::float8", s.score, a.add(mean), a.add(score.Inverse(deviation)))
		}
	}
	return sides, nil
}

// rows gives the table, or with HNSW the rows that stand for it.
func (x *Index) rows(ctx context.Context, tx pgx.Tx) (string, error) {
	if !x.hnsw {
		return x.table, nil
	}
	var n float64 // an estimate of the server, below 0 before the first
	if err := tx.QueryRow(ctx, "SELECT reltuples FROM pg_class WHERE oid = to_regclass($1)", x.table).Scan(&n); err != nil {
		return "", errors.Wrap(err, "pgvector")
	}
	if n <= drawn {
		return x.table, nil
	}
	return fmt.Sprintf("%s TABLESAMPLE BERNOULLI (%g) REPEATABLE (0)", x.table, 100*drawn/n), nil
}

// means gives what is taken from the vectors of each modality, nil without any.
func (x *Index) means(ctx context.Context, tx pgx.Tx) (map[search.Modality][]float32, error) {
	from, err := x.rows(ctx, tx)
	if err != nil {
		return nil, err
	}
	var image, text []float32
	var images, texts int
	err = tx.QueryRow(ctx, "SELECT avg(image_vector)::real[], avg(text_vector)::real[], count(image_vector), count(text_vector) FROM "+from).
		Scan(&image, &text, &images, &texts)
	trust(image, images)
	trust(text, texts)
	return map[search.Modality][]float32{search.Images: image, search.Texts: text}, errors.Wrap(err, "pgvector")
}

// trust makes the mean of n vectors what is taken from each.
func trust(mean []float32, n int) {
	for i, v := range mean {
		mean[i] = float32(search.Trust(n) * float64(v))
	}
}

// moments gives mean and deviation of the cosines with a vector.
func (x *Index) moments(ctx context.Context, tx pgx.Tx, kind search.Modality, vector []float32) (mean, deviation float64, err error) {
	from, err := x.rows(ctx, tx)
	if err != nil {
		return 0, 0, err
	}
	err = tx.QueryRow(ctx, fmt.Sprintf("SELECT coalesce(avg(c), 0), coalesce(stddev_pop(c), 0) FROM (SELECT -(%s <#> $1::real[]::vector) AS c FROM %s) AS cosines",
		column(kind), from), vector).Scan(&mean, &deviation)
	return mean, deviation, errors.Wrap(err, "pgvector")
}
