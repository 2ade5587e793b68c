package kernel

import "tessera/graph/kernel/simd"

// columns is the number of sums that are carried side by side.
const columns = 64

// Reduce adds up in dst all elements of src that Expand would make of each of
// dst's, times scale; by has dst and src as operands, repeated to src's shape.
// Sums are carried in float64.
func Reduce[T Float](dst, src []T, scale float64, by Broadcast) {
	if len(src) == 0 {
		for i := range dst {
			dst[i] = T(0 * scale)
		}
		return
	}
	var kept, summed axes
	for _, a := range by.outer {
		if a.stride[0] == 0 {
			summed = append(summed, a)
		} else {
			kept = append(kept, a)
		}
	}
	switch {
	case by.inner.stride[0] != 0:
		sumColumns(dst, src, scale, kept, summed, by.inner.n)
	case len(kept) == 0:
		dst[0] = T(sumAll(src) * scale)
	default:
		sumRows(dst, src, scale, kept, summed, by.inner.n)
	}
}

// sumRows sums where neighbours belong to the same sum, in runs of n.
func sumRows[T Float](dst, src []T, scale float64, kept, summed axes, n int) {
	Chunks(len(dst), (summed.size()*n+3)/4, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			_, base := kept.at(i)
			var sum float64
			for r := range summed.size() {
				_, off := summed.at(r)
				sum += sumRun(src[base+off:][:n])
			}
			dst[i] = T(sum * scale)
		}
	})
}

// sumColumns sums where n neighbours belong to n different sums.
func sumColumns[T Float](dst, src []T, scale float64, kept, summed axes, n int) {
	if fast[T]() && len(summed) == 1 {
		sumColumns32(singles(dst), singles(src), scale, kept, summed[0].n, summed[0].stride[1], n)
		return
	}
	blocks := (n + columns - 1) / columns
	Chunks(kept.size()*blocks, summed.size()*min(n, columns), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			_, base := kept.at(i / blocks)
			j0 := i % blocks * columns
			j1 := min(j0+columns, n)
			var acc [columns]float64
			for r := range summed.size() {
				_, off := summed.at(r)
				for j, v := range src[base+off+j0 : base+off+j1] {
					acc[j%columns] += float64(v)
				}
			}
			for j, v := range acc[:j1-j0] {
				dst[i/blocks*n+j0+j] = T(v * scale)
			}
		}
	})
}

// sumAll sums a whole array by parts whose number does not exceed a bound.
func sumAll[T Float](x []T) float64 {
	var parts [64]float64
	size := max(memoryRun, (len(x)+len(parts)-1)/len(parts))
	Parallel((len(x)+size-1)/size, func(i int) {
		parts[i] = sumRun(x[i*size : min(len(x), (i+1)*size)])
	})
	return sumRun(parts[:])
}

// sumRun sums in four strands, which the processor runs side by side.
func sumRun[T Float](x []T) float64 {
	if fast[T]() {
		return simd.Sum(singles(x))
	}
	var a, b, c, d float64
	for len(x) >= 4 {
		a += float64(x[0])
		b += float64(x[1])
		c += float64(x[2])
		d += float64(x[3])
		x = x[4:]
	}
	for _, v := range x {
		a += float64(v)
	}
	return (a + b) + (c + d)
}
