// Package sample chooses tokens by their logits.
package sample

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/pkg/errors"
)

// Sampler says how the next token is drawn. Its fields apply in their order, as
// in Hugging Face's generate, and do nothing if 0, except that temperature 0
// takes the most probable token. A Sampler keeps scratch between calls, so it
// serves one caller at a time.
type Sampler struct {
	RepetitionPenalty float64 // of tokens seen: divides logits above 0, multiplies others (arXiv:1909.05858)
	Temperature       float64 // divides logits
	TopK              int     // keeps the k most probable tokens
	TopP              float64 // keeps the fewest tokens whose probabilities reach p (arXiv:1904.09751)
	MinP              float64 // keeps tokens of at least this share of the greatest probability (arXiv:2407.01082)

	logits []float32 // with penalties
	seen   []bool    // tokens whose penalty is applied
	heap   heap
	kept   []candidate
}

// Validate reports every fault at once.
func (s *Sampler) Validate() error {
	var faults []string
	want := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Sprintf(format, args...))
		}
	}
	want(s.RepetitionPenalty >= 0 && !math.IsInf(s.RepetitionPenalty, 1), "repetition penalty is %g, want 0 or more", s.RepetitionPenalty)
	want(s.Temperature >= 0 && !math.IsInf(s.Temperature, 1), "temperature is %g, want 0 or more", s.Temperature)
	want(s.TopK >= 0, "top-k is %d, want 0 or more", s.TopK)
	want(s.TopP >= 0 && s.TopP <= 1, "top-p is %g, want 0 to 1", s.TopP)
	want(s.MinP >= 0 && s.MinP <= 1, "min-p is %g, want 0 to 1", s.MinP)
	if len(faults) > 0 {
		return errors.Errorf("sample: %s", strings.Join(faults, "; "))
	}
	return nil
}

// Next draws a token by its logits, given the tokens before it, which only the
// repetition penalty reads. Of equally probable tokens that of the smallest
// number counts as the first; NaN is never drawn. Next returns −1 if no token
// is possible: all logits are −Inf or NaN. It takes one number from rng, or
// none if there is no choice; a greedy sampler needs no rng.
func (s *Sampler) Next(logits []float32, before []int, rng *rand.Rand) int {
	kept := s.candidates(logits, before)
	switch len(kept) {
	case 0:
		return -1
	case 1:
		return kept[0].id
	}
	total := 0.0
	for _, c := range kept {
		total += c.weight
	}
	at := rng.Float64() * total
	last := -1
	for _, c := range kept {
		if c.weight > 0 {
			last = c.id
			if at -= c.weight; at < 0 {
				break
			}
		}
	}
	return last
}

// Probabilities writes to p, of the size of logits, the probabilities with
// which Next draws each token: all 0 if none is possible.
func (s *Sampler) Probabilities(p []float64, logits []float32, before []int) {
	clear(p)
	kept := s.candidates(logits, before)
	total := 0.0
	for _, c := range kept {
		total += c.weight
	}
	for _, c := range kept {
		p[c.id] = c.weight / total
	}
}

// candidate is a token with its probability relative to the greatest.
type candidate struct {
	id     int
	weight float64
}

// candidates returns the tokens that may be drawn.
func (s *Sampler) candidates(logits []float32, before []int) []candidate {
	logits = s.penalized(logits, before)
	s.kept = s.kept[:0]
	best := greatest(logits)
	if best < 0 {
		return nil
	}
	if s.Temperature == 0 || math.IsInf(float64(logits[best]), 1) {
		s.kept = append(s.kept, candidate{best, 1})
		return s.kept
	}
	s.heap = s.heap[:0]
	total := 0.0
	for i, l := range logits {
		if l != l {
			continue
		}
		w := math.Exp((float64(l) - float64(logits[best])) / s.Temperature)
		s.heap = append(s.heap, candidate{i, w})
		total += w
	}
	if s.TopK == 0 && s.TopP == 0 && s.MinP == 0 {
		return s.heap
	}
	s.heap.init()
	if s.TopK > 0 && s.TopK < len(s.heap) {
		for range s.TopK {
			s.kept = append(s.kept, s.heap.pop())
		}
	}
	return s.restrict(total)
}

// restrict applies top-p and min-p to the k candidates kept, or to those of the
// heap, whose weights are total, if there are none.
func (s *Sampler) restrict(total float64) []candidate {
	limit := math.Inf(1)
	topK := len(s.kept) > 0
	if topK {
		total = 0
		for _, c := range s.kept {
			total += c.weight
		}
	}
	if s.TopP > 0 {
		limit = s.TopP * total
	}
	sum := 0.0
	for n := 0; n < len(s.kept) || !topK && len(s.heap) > 0; n++ {
		if !topK {
			s.kept = append(s.kept, s.heap.pop())
		}
		w := s.kept[n].weight
		if n > 0 && w < s.MinP {
			return s.kept[:n]
		}
		if sum += w; sum >= limit {
			return s.kept[:n+1]
		}
	}
	return s.kept
}

// penalized returns the logits with the penalty for tokens seen before.
func (s *Sampler) penalized(logits []float32, before []int) []float32 {
	if s.RepetitionPenalty == 0 || s.RepetitionPenalty == 1 || len(before) == 0 {
		return logits
	}
	s.logits = append(s.logits[:0], logits...)
	if len(s.seen) < len(logits) {
		s.seen = make([]bool, len(logits))
	}
	for _, id := range before {
		if id < 0 || id >= len(logits) || s.seen[id] {
			continue
		}
		s.seen[id] = true
		if l := &s.logits[id]; *l > 0 {
			*l /= float32(s.RepetitionPenalty)
		} else {
			*l *= float32(s.RepetitionPenalty)
		}
	}
	for _, id := range before {
		if id >= 0 && id < len(logits) {
			s.seen[id] = false
		}
	}
	return s.logits
}

// greatest is the number of the first greatest logit, −1 if all are −Inf or
// NaN.
func greatest(logits []float32) int {
	best, top := -1, float32(math.Inf(-1))
	for i, l := range logits {
		if l > top {
			best, top = i, l
		}
	}
	return best
}

// Guide writes uncond + scale·(cond − uncond) to dst, which may be either:
// classifier-free guidance (arXiv:2207.12598, with scale = 1 + w). Scale 1
// gives cond, 0 uncond, exactly. The slices have one length.
func Guide(dst, cond, uncond []float32, scale float32) {
	switch scale {
	case 1:
		copy(dst, cond)
	case 0:
		copy(dst, uncond)
	default:
		for i, u := range uncond[:len(dst)] {
			dst[i] = u + scale*(cond[i]-u)
		}
	}
}
