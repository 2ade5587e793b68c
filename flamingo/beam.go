package flamingo

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/pkg/errors"
)

// beam is a continuation of a text.
type beam struct {
	ids   []int   // new tokens
	score float64 // sum of their log-probabilities
}

// candidate is a beam with one more token.
type candidate struct {
	from, id int
	score    float64
}

// search continues the texts by beam search: of all continuations of the k beams
// of a text by a token, the k most probable go on. Those that end compete by
// their score over length; a text is over when k have ended of which none can
// be beaten by the ones that go on.
func (g *generation) search(ctx context.Context, prompts []Sequence, logits []float32) ([][]int, error) {
	n, k := len(prompts), g.Beams
	running, ended := make([][]beam, n), make([][]beam, n)
	for i := range running {
		running[i] = []beam{{}} // all rows of the decoder are equal so far
	}
	from, next := make([]int, n*k), make([]int, n*k)
	for taken := 1; ; taken++ {
		if err := ctx.Err(); err != nil {
			return nil, errors.Wrapf(err, "flamingo: stopped after %d tokens", taken-1)
		}
		g.ban(logits)
		going := false
		for i := range n {
			if g.over(running[i], ended[i]) {
				running[i] = nil
				continue
			}
			all := g.candidates(prompts[i].IDs, running[i], logits, i*k)
			if len(all) == 0 {
				return nil, errors.Errorf("flamingo: text %d: no token is possible after %d, all logits are −Inf or NaN", i, len(prompts[i].IDs)+taken-1)
			}
			var kept []beam
			for rank, c := range all {
				if g.stops(c.id) {
					if rank < k {
						ended[i] = g.end(ended[i], running[i][c.from].ids, c.score, taken)
					}
					continue
				}
				row := i*k + len(kept)
				from[row], next[row] = i*k+c.from, c.id
				kept = append(kept, beam{append(slices.Clone(running[i][c.from].ids), c.id), c.score})
				if len(kept) == k {
					break
				}
			}
			running[i] = kept
			for row := i*k + len(kept); row < (i+1)*k; row++ {
				from[row], next[row] = row, 0 // counts for nothing
			}
			going = going || len(kept) > 0
		}
		if taken == g.most || !going {
			break
		}
		g.d.reorder(from)
		var err error
		if logits, err = g.d.Next(next); err != nil {
			return nil, err
		}
	}
	out := make([][]int, n)
	for i := range out {
		for _, b := range running[i] { // cut off at their length
			ended[i] = g.end(ended[i], b.ids, b.score, len(b.ids))
		}
		out[i] = append([]int{}, ended[i][0].ids...)
	}
	return out, nil
}

// candidates are the 2k best continuations of beams by one token, in order: k
// of them at least do not end the text by its one end token. Beam i has row
// first+i of logits.
func (g *generation) candidates(prompt []int, beams []beam, logits []float32, first int) []candidate {
	V := g.m.Vocabulary()
	s := g.Sampler
	s.Temperature, s.TopK, s.TopP, s.MinP = 1, 0, 0, 0
	p := make([]float64, V)
	var all []candidate
	for i, b := range beams {
		s.Probabilities(p, logits[(first+i)*V:(first+i+1)*V], slices.Concat(prompt, b.ids))
		for id, v := range p {
			if v > 0 {
				all = append(all, candidate{i, id, b.score + math.Log(v)})
			}
		}
	}
	slices.SortStableFunc(all, func(x, y candidate) int { return cmp.Compare(y.score, x.score) })
	return all[:min(len(all), (2+len(g.Stop))*g.Beams)]
}

// end adds a beam of a length, its end token included, to those that ended, of
// which the k best are kept, the best first. Scores are by length.
func (g *generation) end(ended []beam, ids []int, sum float64, length int) []beam {
	ended = append(ended, beam{ids, g.byLength(sum, length)})
	slices.SortStableFunc(ended, func(x, y beam) int { return cmp.Compare(y.score, x.score) })
	return ended[:min(len(ended), g.Beams)]
}

func (g *generation) byLength(sum float64, length int) float64 {
	return sum / math.Pow(float64(max(1, length)), g.LengthPenalty)
}

// over tells whether no running beam can still replace one that ended: a score
// is best at the greatest length for a positive penalty, and now for others.
func (g *generation) over(running, ended []beam) bool {
	if len(running) == 0 {
		return true
	}
	if len(ended) < g.Beams {
		return false
	}
	length := g.most
	if g.LengthPenalty <= 0 {
		length = len(running[0].ids) + 1
	}
	return g.byLength(running[0].score, length) <= ended[len(ended)-1].score
}
