package kernel

import "fmt"

// index is the whole number that id holds. It panics with an error unless the
// number is in [0, n).
func index[T Float](id T, n int) int {
	if !(id >= 0 && id < T(n)) || id != T(int(id)) {
		panic(fmt.Errorf("id %v is not a whole number in [0, %d)", id, n))
	}
	return int(id)
}

// Gather writes row ids[i] of the table (v, d) to row i of dst (len(ids), d).
// It panics with an error on ids outside the table.
func Gather[T Float](dst, table, ids []T, v, d int) {
	for _, id := range ids {
		index(id, v)
	}
	Chunks(len(ids), d, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			copy(dst[i*d:(i+1)*d], table[int(ids[i])*d:])
		}
	})
}

// ScatterAdd is the gradient of Gather: row r of dtable (v, d) becomes the sum
// of the rows i of dy with ids[i] = r. It needs v + len(ids) elements of
// scratch.
func ScatterAdd[T Float](dtable, dy, ids, scratch []T, v, d int) {
	// The positions of equal ids form a list, counted from 1 to leave 0 for
	// its end: rows can then be summed side by side, each in order.
	first, next := scratch[:v], scratch[v:v+len(ids)]
	clear(first)
	for i := len(ids) - 1; i >= 0; i-- {
		r := index(ids[i], v)
		next[i] = first[r]
		first[r] = T(i + 1)
	}
	Chunks(v, d+16, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			row := dtable[r*d : (r+1)*d]
			if first[r] == 0 {
				clear(row)
				continue
			}
			for j0 := 0; j0 < d; j0 += columns {
				to := row[j0:min(j0+columns, d)]
				var acc [columns]float64
				for i := int(first[r]); i != 0; i = int(next[i-1]) {
					for j, g := range dy[(i-1)*d+j0:][:len(to)] {
						acc[j%columns] += float64(g)
					}
				}
				for j := range to {
					to[j] = T(acc[j%columns])
				}
			}
		}
	})
}

// At writes row ids[b] of matrix b of x (batch, n, d) to row b of dst
// (batch, d). It panics with an error on ids outside [0, n).
func At[T Float](dst, x, ids []T, n, d int) {
	for b, id := range ids {
		copy(dst[b*d:(b+1)*d], x[(b*n+index(id, n))*d:])
	}
}

// AtBackward is the gradient of At: dy's rows at their places, 0 elsewhere.
func AtBackward[T Float](dx, dy, ids []T, n, d int) {
	Chunks(len(ids), n*d, func(lo, hi int) {
		for b := lo; b < hi; b++ {
			clear(dx[b*n*d : (b+1)*n*d])
			copy(dx[(b*n+index(ids[b], n))*d:][:d], dy[b*d:])
		}
	})
}
