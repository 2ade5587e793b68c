package kernel

// Mask finds the row of an additive mask that belongs to a row of scores. The
// mask has the rank of the scores, and 1 instead of a size wherever it is
// repeated. The zero Mask stands for none.
type Mask struct {
	dims, strides []int // of all axes but the last
	width         int
}

// NewMask describes a mask of the given shape over scores; their last sizes
// must be equal, the others equal or 1 in the mask.
func NewMask(scores, shape []int) Mask {
	last := len(scores) - 1
	m := Mask{dims: scores[:last], strides: make([]int, last), width: scores[last]}
	stride := 1
	for i := last - 1; i >= 0; i-- {
		if shape[i] != 1 {
			m.strides[i] = stride
		}
		stride *= shape[i]
	}
	return m
}

// maskRow is the part of mask for row r of the scores, nil if there is no mask.
func maskRow[T Float](m Mask, mask []T, r int) []T {
	if mask == nil {
		return nil
	}
	at := 0
	for i := len(m.dims) - 1; i >= 0; i-- {
		at += r % m.dims[i] * m.strides[i]
		r /= m.dims[i]
	}
	return mask[at*m.width : (at+1)*m.width]
}
