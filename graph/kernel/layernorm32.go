package kernel

import "tessera/graph/kernel/simd"

const (
	// normRows is how many rows are summed in float32, in order, before their
	// sum is added in float64.
	normRows = 8
	// partRows is how many rows have sums of their own at least, normParts how
	// many sums there are at most.
	partRows, normParts = 64, 32
)

// layerNormBackward32 is LayerNormBackward in one pass over x and dy. The sums
// of the rows are divided by the number of rows alone.
func layerNormBackward32(dx, dweight, dbias, x, weight, mean, rstd, dy []float32, n int) {
	rows := len(mean)
	if dweight == nil && dbias == nil {
		Chunks(rows, n, func(lo, hi int) {
			layerNormRows(dx, nil, nil, x, weight, mean, rstd, dy, lo, hi, n)
		})
		return
	}
	size := max(partRows, (rows+normParts-1)/normParts)
	parts := (rows + size - 1) / size
	sums, memory := zeros64(parts * 2 * n) // of dweight, then of dbias
	defer free32(memory)
	Parallel(parts, func(p int) {
		sum, own := sums[p*2*n:(p+1)*2*n], scratch32(2*n)
		defer free32(own)
		block := *own
		end := min(rows, (p+1)*size)
		for lo := p * size; lo < end; lo += normRows {
			clear(block)
			layerNormRows(dx, block[:n], block[n:], x, weight, mean, rstd, dy, lo, min(end, lo+normRows), n)
			simd.AddRows(sum, block, 1, 2*n)
		}
	})
	addParts(dweight, sums, 2*n, 1)
	addParts(dbias, sums[min(n, len(sums)):], 2*n, 1)
}

// layerNormRows handles rows lo, …, hi−1.
func layerNormRows(dx, dweight, dbias, x, weight, mean, rstd, dy []float32, lo, hi, n int) {
	if dx != nil {
		dx = dx[lo*n : hi*n]
	}
	simd.LayerNormBackward(dx, dweight, dbias, x[lo*n:hi*n], weight, mean[lo:hi], rstd[lo:hi], dy[lo*n:hi*n], n)
}
