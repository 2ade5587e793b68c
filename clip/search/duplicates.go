package search

import (
	"cmp"
	"context"
	"database/sql"
	"slices"

	"github.com/pkg/errors"

	"tessera/graph/kernel"
)

const (
	outerRows = 8192 // of vectors compared with
	innerRows = 1024 // of these at once
	rounding  = 1e-5 // of the product of two vectors that should be 1
)

// Duplicates groups items whose images (or texts) are alike: two of a group have
// cosines of at least threshold in (0, 1], up to 1e-5, or are joined by others that have.
// All pairs are compared, in N²·D multiplications. Groups come in order of their
// first ID, and IDs in order.
func (f *File) Duplicates(ctx context.Context, in Modality, threshold float64) ([][]string, error) {
	switch {
	case in != Images && in != Texts:
		return nil, errors.Errorf("search: duplicates in %q, want %q or %q", in, Images, Texts)
	case !(threshold > 0 && threshold <= 1):
		return nil, errors.Errorf("search: duplicates from a cosine of %g on, want above 0 and at most 1", threshold)
	}
	groups, err := f.duplicates(ctx, in, threshold)
	return groups, errors.Wrapf(err, "search: %s", f.path)
}

func (f *File) duplicates(ctx context.Context, in Modality, threshold float64) ([][]string, error) {
	f.mu.RLock()
	closed := f.closed
	f.mu.RUnlock()
	if closed {
		return nil, errors.New("the index is closed")
	}
	// One state of the file, while others go on writing.
	tx := f.frozen
	if tx == nil {
		var err error
		if tx, err = f.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}); err != nil {
			return nil, errors.WithStack(err)
		}
		defer tx.Rollback()
	}
	s := stored{r: tx, table: "image_vectors", dim: f.dim}
	if in == Texts {
		s.table = "text_vectors"
	}
	ids, err := s.ids(ctx)
	if err != nil {
		return nil, err
	}
	sets := newSets(len(ids))
	products := make([]float32, innerRows*outerRows)
	a, b := make([]float32, outerRows*f.dim), make([]float32, innerRows*f.dim)
	var afterA int64
	for i := 0; i < len(ids); i += outerRows {
		m, next, err := s.read(ctx, a, afterA)
		if err != nil {
			return nil, err
		}
		afterB := afterA
		for j := i; j < len(ids); j += innerRows {
			n, last, err := s.read(ctx, b, afterB)
			if err != nil {
				return nil, err
			}
			kernel.MatMul(false, true, n, m, f.dim, 1, b, f.dim, a, f.dim, 0, products, m)
			sets.join(j, n, i, m, float32(threshold-rounding), products)
			afterB = last
		}
		afterA = next
	}
	return sets.groups(ids), nil
}

// stored reads the vectors of a table in order of rows.
type stored struct {
	r     reader
	table string
	dim   int
}

func (s stored) ids(ctx context.Context) (ids []string, err error) {
	err = each(ctx, s.r, "SELECT id FROM "+s.table+" v JOIN items USING (row) ORDER BY v.row", func(rows *sql.Rows) error {
		ids = append(ids, "")
		return errors.WithStack(rows.Scan(&ids[len(ids)-1]))
	})
	return ids, err
}

// read fills dst with vectors from rows after one, and returns how many there
// were and the last row.
func (s stored) read(ctx context.Context, dst []float32, after int64) (n int, last int64, err error) {
	last = after
	err = each(ctx, s.r, "SELECT row, vector FROM "+s.table+" WHERE row > ? ORDER BY row LIMIT ?", func(rows *sql.Rows) error {
		var blob sql.RawBytes
		if err := rows.Scan(&last, &blob); err != nil {
			return errors.WithStack(err)
		}
		n++
		return errors.Wrapf(decodeVector(dst[(n-1)*s.dim:n*s.dim], blob), "is damaged: row %d of %s", last, s.table)
	}, after, len(dst)/s.dim)
	return n, last, err
}

// sets are disjoint sets of integers, each with its least as the root of a
// tree.
type sets struct{ parent []int }

func newSets(n int) *sets {
	s := &sets{make([]int, n)}
	for i := range s.parent {
		s.parent[i] = i
	}
	return s
}

func (s *sets) root(i int) int {
	for s.parent[i] != i {
		s.parent[i] = s.parent[s.parent[i]]
		i = s.parent[i]
	}
	return i
}

// join joins row j+r of b with row i+c of a (m rows), i+c < j+r, wherever their
// product reaches the threshold. products is (n, m).
func (s *sets) join(j, n, i, m int, threshold float32, products []float32) {
	alike := make([][]int, n)
	kernel.Chunks(n, m, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			row := products[r*m : (r+1)*m]
			for c, p := range row[:min(m, max(0, j+r-i))] {
				if p >= threshold {
					alike[r] = append(alike[r], i+c)
				}
			}
		}
	})
	for r, cs := range alike {
		for _, c := range cs {
			x, y := s.root(j+r), s.root(c)
			s.parent[max(x, y)] = min(x, y)
		}
	}
}

// groups returns the sets of more than one.
func (s *sets) groups(ids []string) [][]string {
	members := map[int][]string{}
	for i := range s.parent {
		r := s.root(i)
		members[r] = append(members[r], ids[i])
	}
	var groups [][]string
	for _, g := range members {
		if len(g) > 1 {
			slices.Sort(g)
			groups = append(groups, g)
		}
	}
	slices.SortFunc(groups, func(a, b []string) int { return cmp.Compare(a[0], b[0]) })
	return groups
}
