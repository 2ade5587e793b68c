package data

import (
	"math"
	"math/rand/v2"

	"github.com/pkg/errors"
	"gonum.org/v1/gonum/stat/distuv"
)

// Mix blends every image of a batch with its successor, the last with the
// first, and their labels in the same proportion λ : 1-λ. One λ ~ Beta(α, α) is
// drawn per batch. The zero value leaves batches alone.
type Mix struct {
	Prob   float64 // probability that a batch is mixed, 0 ≤ p ≤ 1
	Mixup  float64 // α of mixup, the weighted sum of two images (arXiv:1710.09412); 0: not used
	CutMix float64 // α of CutMix, a rectangle of one image in the other (arXiv:1905.04899); 0: not used
}

// Validate reports values out of range.
func (m Mix) Validate() error {
	switch {
	case !(m.Prob >= 0 && m.Prob <= 1):
		return errors.Errorf("data: mix: probability is %g, want 0 to 1", m.Prob)
	case !(m.Mixup >= 0) || math.IsInf(m.Mixup, 1):
		return errors.Errorf("data: mix: mixup α is %g, want 0 or more", m.Mixup)
	case !(m.CutMix >= 0) || math.IsInf(m.CutMix, 1):
		return errors.Errorf("data: mix: CutMix α is %g, want 0 or more", m.CutMix)
	case m.Prob > 0 && m.Mixup == 0 && m.CutMix == 0:
		return errors.Errorf("data: mix: probability is %g, but neither mixup nor CutMix has an α above 0", m.Prob)
	}
	return nil
}

// Apply mixes "image" (B, C, S, S) and "label" (B, K) of a batch in place with
// probability Prob, and reports whether it did. Where both ways are given each
// is taken half of the time.
func (m Mix) Apply(b Batch, r *rand.Rand) (mixed bool, err error) {
	if m.Prob == 0 || r.Float64() >= m.Prob {
		return false, nil
	}
	images, err := rows(b, "image", 4)
	if err != nil {
		return false, err
	}
	labels, err := rows(b, "label", 2)
	if err != nil {
		return false, err
	}
	if x, y := b["image"].Shape(), b["label"].Shape(); x[0] != y[0] {
		return false, errors.Errorf(`data: mix: "image" has shape %v and "label" %v: batch sizes differ`, x, y)
	}
	B := b["label"].Shape()[0]
	if m.CutMix > 0 && (m.Mixup == 0 || r.Float64() < 0.5) {
		shape := b["image"].Shape()
		H, W := shape[2], shape[3]
		box, lambda := cut(H, W, beta(m.CutMix, r), r)
		withNext(images, B, func(row, next []float32) { paste(row, next, H, W, box) })
		withNext(labels, B, func(row, next []float32) { blend(row, next, lambda) })
		return true, nil
	}
	lambda := beta(m.Mixup, r)
	withNext(images, B, func(row, next []float32) { blend(row, next, lambda) })
	withNext(labels, B, func(row, next []float32) { blend(row, next, lambda) })
	return true, nil
}

// rows returns the values of a float32 tensor of the batch.
func rows(b Batch, name string, dims int) ([]float32, error) {
	t := b[name]
	if t == nil {
		return nil, errors.Errorf("data: mix: batch has no %q", name)
	}
	v, ok := t.Data().([]float32)
	if !ok || t.Dims() != dims {
		return nil, errors.Errorf("data: mix: %q is %v of shape %v, want float32 with %d axes", name, t.Dtype(), t.Shape(), dims)
	}
	return v, nil
}

// beta draws from Beta(α, α). For a tiny α both of the gamma variates behind it
// can underflow to zero; the distribution's mass is at its ends then.
func beta(alpha float64, r *rand.Rand) float64 {
	lambda := distuv.Beta{Alpha: alpha, Beta: alpha, Src: r}.Rand()
	if math.IsNaN(lambda) {
		return float64(r.IntN(2))
	}
	return lambda
}

// cut places a rectangle that covers 1-λ of the area, centred anywhere and
// clipped at the border, and returns it with the λ that is left after clipping.
func cut(H, W int, lambda float64, r *rand.Rand) (Box, float64) {
	side := math.Sqrt(1 - lambda)
	h, w := int(side*float64(H)), int(side*float64(W))
	y, x := r.IntN(H)-h/2, r.IntN(W)-w/2
	box := Box{X0: max(x, 0), Y0: max(y, 0), X1: min(x+w, W), Y1: min(y+h, H)}
	area := (box.X1 - box.X0) * (box.Y1 - box.Y0)
	return box, 1 - float64(area)/float64(H*W)
}

// withNext calls f with each of the B rows of v and its successor as it was
// before the call.
func withNext(v []float32, B int, f func(row, next []float32)) {
	n := len(v) / B
	first := append([]float32(nil), v[:n]...)
	for i := range B - 1 {
		f(v[i*n:(i+1)*n], v[(i+1)*n:(i+2)*n])
	}
	f(v[(B-1)*n:], first)
}

// blend sets row to λ·row + (1-λ)·next. The conversions forbid fused
// multiply-add, which only some machines have.
func blend(row, next []float32, lambda float64) {
	a, b := float32(lambda), float32(1-lambda)
	for i, x := range row {
		row[i] = float32(a*x) + float32(b*next[i])
	}
}

// paste copies the box of every channel (H, W) of next into row.
func paste(row, next []float32, H, W int, box Box) {
	for c := 0; c < len(row); c += H * W {
		for y := box.Y0; y < box.Y1; y++ {
			at := c + y*W
			copy(row[at+box.X0:at+box.X1], next[at+box.X0:at+box.X1])
		}
	}
}
