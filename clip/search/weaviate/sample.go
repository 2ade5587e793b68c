package weaviate

import (
	"context"
	"fmt"
	"math"

	"github.com/google/uuid"

	"tessera/clip/search"
	"tessera/clip/search/internal/score"
)

// sampleSize is how many items means and deviations are taken of.
const sampleSize = 1024

// A sample stands for the items of the class.
type sample struct {
	items   int // in the class
	vectors map[search.Modality][][]float32
	means   map[search.Modality][]float64 // nil without vectors
}

// sampled returns the sample, a new one if the items have changed.
func (x *Index) sampled(ctx context.Context) (*sample, error) {
	x.mu.Lock()
	old, stale := x.sample, x.stale
	x.mu.Unlock()
	g, err := x.ask(ctx, fmt.Sprintf(`{items: Aggregate{%s{count: meta{count}}}}`, x.class))
	if err != nil {
		return nil, err
	}
	n, err := count(g.Data["items"][x.class])
	if err != nil {
		return nil, err
	}
	if old != nil {
		if moved := max(n-old.items, old.items-n); moved == 0 || moved*100 < old.items {
			return old, nil
		}
	}
	s := &sample{items: n, vectors: map[search.Modality][][]float32{}, means: map[search.Modality][]float64{}}
	list, err := x.list(ctx, uuid.Nil.String(), sampleSize, "vector")
	if err != nil {
		return nil, err
	}
	for _, o := range list {
		for kind, v := range map[search.Modality][]float32{search.Images: o.Vectors.Image, search.Texts: o.Vectors.Text} {
			if len(v) == x.about.Dim {
				s.vectors[kind] = append(s.vectors[kind], v)
			}
		}
	}
	for kind, all := range s.vectors {
		mean := make([]float64, x.about.Dim)
		for _, v := range all {
			for i, e := range v {
				mean[i] += float64(e) / float64(len(all))
			}
		}
		s.means[kind] = mean
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.stale == stale { // no write since
		x.sample = s
	}
	return s, nil
}

// centres are what is taken from the vectors of each modality, nil without any.
func (s *sample) centres() map[search.Modality][]float64 {
	all := map[search.Modality][]float64{}
	for kind, mean := range s.means {
		c := make([]float64, len(mean))
		for i, v := range mean {
			c[i] = search.Trust(len(s.vectors[kind])) * v
		}
		all[kind] = c
	}
	return all
}

// moments gives the mean of the cosines with q and the inverse of their
// deviation, 0 if they are all alike.
func (s *sample) moments(kind search.Modality, q []float32) (mean, scale float64) {
	all := s.vectors[kind]
	if len(all) == 0 {
		return 0, 1
	}
	mean = score.Product(q, s.means[kind])
	var sum float64
	for _, v := range all {
		d := score.Product(v, q) - mean
		sum += d * d
	}
	return mean, score.Inverse(math.Sqrt(sum / float64(len(all))))
}
