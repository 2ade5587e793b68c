package kernel

// Argmax writes the position of the greatest element of each row of x, rows of
// n > 0 elements: the first of equal ones, or the first NaN if there is one.
func Argmax[T Float](dst, x []T, n int) {
	Chunks(len(dst), n, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			dst[i] = T(argmax(x[i*n : (i+1)*n]))
		}
	})
}

// Argmin is Argmax for the least element.
func Argmin[T Float](dst, x []T, n int) {
	Chunks(len(dst), n, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			dst[i] = T(argmin(x[i*n : (i+1)*n]))
		}
	})
}

func argmax[T Float](row []T) int {
	best := 0
	for i, v := range row {
		if v != v {
			return i
		}
		if v > row[best] {
			best = i
		}
	}
	return best
}

func argmin[T Float](row []T) int {
	best := 0
	for i, v := range row {
		if v != v {
			return i
		}
		if v < row[best] {
			best = i
		}
	}
	return best
}

// nearestRows is the number of rows compared with all codes at once.
func nearestRows(k int) int { return min(256, max(8, 1<<16/max(1, k))) }

// NearestScratch is the number of elements of scratch that Nearest needs.
func NearestScratch(n, k int) int {
	rows := nearestRows(k)
	return k + groups((n+rows-1)/rows)*rows*k
}

// Nearest writes for each row of x (n, d) the number of the row of codes (k, d)
// at the least Euclidean distance, the first of equal ones; k > 0.
func Nearest[T Float](ids, x, codes, scratch []T, n, k, d int) {
	// ‖x − c‖² = ‖x‖² − 2 x·c + ‖c‖², whose first term does not matter.
	norms, products := scratch[:k], scratch[k:]
	Chunks(k, d, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			var sum float64
			for _, v := range codes[i*d : (i+1)*d] {
				sum += float64(v) * float64(v)
			}
			norms[i] = T(sum)
		}
	})
	rows := nearestRows(k)
	inGroups((n+rows-1)/rows, groups((n+rows-1)/rows), func(g, lo, hi int) {
		for i := lo * rows; i < min(n, hi*rows); i += rows {
			m := min(rows, n-i)
			p := products[g*rows*k:][:m*k]
			MatMul(false, true, m, k, d, -2, x[i*d:], d, codes, d, 0, p, k)
			for r := range m {
				row := p[r*k : (r+1)*k]
				addRow(row, row, 1, norms, 1)
				ids[i+r] = T(argmin(row))
			}
		}
	})
}

// groups is the number of parts, each with scratch of its own, that n jobs are
// divided into.
func groups(n int) int { return min(n, 16) }

// inGroups divides jobs into count runs and calls f(g, lo, hi) for run g, in
// parallel.
func inGroups(jobs, count int, f func(g, lo, hi int)) {
	Parallel(count, func(g int) { f(g, g*jobs/count, (g+1)*jobs/count) })
}
