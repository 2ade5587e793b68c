package search

import (
	"math"
	"sync"

	"tessera/clip/search/internal/score"
	"tessera/graph/kernel"
)

// Precision says how vectors are held in memory.
type Precision string

const (
	Float32 Precision = "float32" // 4·D bytes a vector, exact
	// Int8 takes D + 4 bytes a vector. What the 8 bits find is scored again by
	// the vectors on disk: hits have exact scores, but a search may miss some.
	Int8 Precision = "int8"
)

// chunkRows is how many vectors are allocated and scanned at once.
const chunkRows = 1024

// fixed scales elements to integers, whose sums do not depend on the order of
// what was added and taken away.
const fixed = 1 << 30

// matrix holds the vectors of one modality by slot.
type matrix struct {
	dim     int
	int8    bool
	chunks  []chunk
	count   int     // vectors
	sums    []int64 // of all vectors, times fixed
	version int     // grows with every change

	mu      sync.Mutex // guards what follows, which searches fill
	inverse []float32  // of the lengths of vectors less their mean, by slot
	centred int        // the version they belong to
}

// chunk has as many rows as were ever used, at most chunkRows.
type chunk struct {
	float  []float32 // (rows, D), or
	bytes  []int8    // (rows, D) and
	scales []float32 // (rows)
	has    []bool    // (rows)
}

// grow adds rows, so many that few calls do.
func (c *chunk) grow(rows int, m *matrix) {
	more := min(chunkRows, max(rows, 2*len(c.has))) - len(c.has)
	c.has = append(c.has, make([]bool, more)...)
	if m.int8 {
		c.bytes = append(c.bytes, make([]int8, more*m.dim)...)
		c.scales = append(c.scales, make([]float32, more)...)
	} else {
		c.float = append(c.float, make([]float32, more*m.dim)...)
	}
}

func newMatrix(dim int, p Precision) *matrix {
	return &matrix{dim: dim, int8: p == Int8, sums: make([]int64, dim)}
}

func (m *matrix) has(slot int) bool {
	if slot/chunkRows >= len(m.chunks) {
		return false
	}
	has := m.chunks[slot/chunkRows].has
	return slot%chunkRows < len(has) && has[slot%chunkRows]
}

// set puts a vector into an empty slot.
func (m *matrix) set(slot int, v []float32) {
	for slot/chunkRows >= len(m.chunks) {
		m.chunks = append(m.chunks, chunk{})
	}
	c, r := &m.chunks[slot/chunkRows], slot%chunkRows
	if r >= len(c.has) {
		c.grow(r+1, m)
	}
	c.has[r] = true
	if m.int8 {
		c.scales[r] = quantize(c.bytes[r*m.dim:(r+1)*m.dim], v)
	} else {
		copy(c.float[r*m.dim:], v)
	}
	m.add(v, 1)
}

// unset empties a slot that holds v.
func (m *matrix) unset(slot int, v []float32) {
	m.chunks[slot/chunkRows].has[slot%chunkRows] = false
	m.add(v, -1)
}

func (m *matrix) add(v []float32, sign int) {
	for i, x := range v {
		m.sums[i] += int64(sign) * int64(math.RoundToEven(float64(x)*fixed))
	}
	m.count += sign
	m.version++
}

// mean of all vectors (D), nil if there are none.
func (m *matrix) mean() []float64 {
	if m.count == 0 {
		return nil
	}
	mean := make([]float64, m.dim)
	for i, s := range m.sums {
		mean[i] = float64(s) / fixed / float64(m.count)
	}
	return mean
}

// centre is what is taken from vectors by [Centred], nil if there are none.
func (m *matrix) centre() []float64 {
	c := m.mean()
	for i := range c {
		c[i] *= Trust(m.count)
	}
	return c
}

// scan sets dst to the products of q with the vectors of all slots; those of
// empty ones mean nothing. dst holds whole chunks.
func (m *matrix) scan(dst, q []float32) {
	var bytes []int8
	var scale float32
	if m.int8 {
		bytes = make([]int8, m.dim)
		scale = quantize(bytes, q)
	}
	kernel.Parallel(len(dst)/chunkRows, func(i int) {
		dst := dst[i*chunkRows : (i+1)*chunkRows]
		var c chunk
		if i < len(m.chunks) {
			c = m.chunks[i]
		}
		rows := len(c.has)
		if m.int8 {
			kernel.RowDotsInt8(dst[:rows], bytes, c.bytes, c.scales, scale)
		} else {
			kernel.RowDots(dst[:rows], q, c.float)
		}
		clear(dst[rows:])
	})
}

// lengths returns 1/‖x − mean‖ for the vectors of n slots in whole chunks, 0
// where nothing is left.
func (m *matrix) lengths(n int) []float32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	n = (n + chunkRows - 1) / chunkRows * chunkRows
	if m.centred == m.version && len(m.inverse) == n {
		return m.inverse
	}
	mean := m.centre()
	m.inverse, m.centred = make([]float32, n), m.version
	m.scan(m.inverse, narrow(mean))
	squared := score.Product(mean, mean)
	kernel.Chunks(n, 8, func(lo, hi int) {
		for i, v := range m.inverse[lo:hi] {
			// Vectors have unit length.
			rest := 1 - 2*float64(v) + squared
			m.inverse[lo+i] = 0
			if rest > 1e-6 {
				m.inverse[lo+i] = float32(1 / math.Sqrt(rest))
			}
		}
	})
	return m.inverse
}

// quantize writes v / scale, rounded to 8 bits, and returns scale.
func quantize(dst []int8, v []float32) (scale float32) {
	var greatest float32
	for _, x := range v {
		greatest = max(greatest, max(x, -x))
	}
	if greatest == 0 {
		clear(dst)
		return 0
	}
	scale = greatest / 127
	inverse := 127 / greatest
	for i, x := range v {
		// Adding 1.5 · 2²³ leaves the nearest integer in the lowest bits.
		dst[i] = int8(int32(math.Float32bits(x*inverse+12582912)) - 0x4b400000)
	}
	return scale
}
