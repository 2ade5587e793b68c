package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/graph"
)

// probe is a compiled graph that is run on changing inputs.
type probe struct{ *graph.Program }

func newProbe(build func(b *graph.Builder), o *graph.Options) (probe, error) {
	p, err := graph.Compile(build, o)
	return probe{p}, err
}

// run returns an output, cut at its last axis.
func (p probe) run(in graph.Values, output string) ([][]float32, error) {
	if err := p.Run(in); err != nil {
		return nil, err
	}
	return p.rows(output)
}

// rows are an output of the last run, cut at its last axis.
func (p probe) rows(name string) ([][]float32, error) {
	v := p.Output(name)
	if v == nil {
		return nil, errors.Errorf("the graph has no output %q", name)
	}
	shape := v.Shape()
	var rows [][]float32
	for row := range slices.Chunk(v.Float32s(), shape[len(shape)-1]) {
		rows = append(rows, slices.Clone(row))
	}
	return rows, nil
}

// numbers makes an input of the given shape.
func numbers[T int | float32](v []T, shape ...int) *tensor.Dense {
	data := make([]float32, len(v))
	for i, x := range v {
		data[i] = float32(x)
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(data))
}

// normals draws n numbers from N(0, 1), as pixels and features come.
func normals(rng *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return v
}

// tokens draws from a vocabulary without some of its tokens. There is none to
// draw where it has fewer than two others.
func tokens(rng *rand.Rand, n, vocabulary int, without ...int) (ids []int, ok bool) {
	if vocabulary < len(without)+2 {
		return nil, false
	}
	for len(ids) < n {
		if id := rng.IntN(vocabulary); !slices.Contains(without, id) {
			ids = append(ids, id)
		}
	}
	return ids, true
}

// replaced is ids with another token at a place.
func replaced(ids []int, at, vocabulary int, without ...int) []int {
	out := slices.Clone(ids)
	for out[at] == ids[at] || slices.Contains(without, out[at]) {
		out[at] = (out[at] + 1) % vocabulary
	}
	return out
}

// trial is a change of an input and what it may do to the rows of the output.
type trial struct {
	what         string // the change
	still, moves func(row int) bool
}

// fault compares rows before and after the change, bit by bit. Rows that are to
// be still must be equal; of those that are to move one must differ. It returns
// what is wrong, or "".
func (t trial) fault(before, after [][]float32) string {
	moved := func(i int) bool {
		return !slices.EqualFunc(before[i], after[i], func(x, y float32) bool {
			return math.Float32bits(x) == math.Float32bits(y)
		})
	}
	some, wanted := false, false
	for i := range before {
		if t.still(i) && moved(i) {
			return fmt.Sprintf("%s changes row %d, want it unchanged", t.what, i)
		}
		wanted = wanted || t.moves(i)
		some = some || t.moves(i) && moved(i)
	}
	if wanted && !some {
		return t.what + " changes no row that should depend on it"
	}
	return ""
}

// before, from and between are sets of rows.
func before(n int) func(int) bool       { return func(i int) bool { return i < n } }
func from(n int) func(int) bool         { return func(i int) bool { return i >= n } }
func between(lo, hi int) func(int) bool { return func(i int) bool { return i >= lo && i < hi } }
func nowhere(int) bool                  { return false }

// probedPlaces are places of a sequence of n: its ends and its middle.
func probedPlaces(n int) []int { return slices.Compact([]int{0, n / 2, n - 1}) }

// causality changes tokens of a text one after another: rows before the place
// must stay as they are, bit by bit, and some row from it on must not.
func causality(rows func(ids []int) ([][]float32, error), ids []int, vocabulary int, without ...int) (fault string, err error) {
	base, err := rows(ids)
	if err != nil {
		return "", err
	}
	for j := range ids {
		after, err := rows(replaced(ids, j, vocabulary, without...))
		if err != nil {
			return "", err
		}
		t := trial{fmt.Sprintf("another token at place %d", j), before(j), from(j)}
		if fault := t.fault(base, after); fault != "" {
			return fault, nil
		}
	}
	return "", nil
}

// probedTokens is the length of texts that models are probed with: long enough
// for every kind of mask, short enough for large models.
const probedTokens = 8

// causal checks that the rows of a text depend on no later token.
func (e *examination) causal(rows func(ids []int) ([][]float32, error), length, vocabulary int, without ...int) {
	const check = "causal text"
	ids, ok := tokens(e.rng(), length, vocabulary, without...)
	if !ok || length < 2 {
		e.skip(check, "a text of %d tokens of %d leaves nothing to change", length, vocabulary)
		return
	}
	fault, err := causality(rows, ids, vocabulary, without...)
	e.judge(check, fmt.Sprintf("a later token leaves earlier rows unchanged, bit for bit, at all %d places", length),
		"mask what comes later by −∞ before the softmax (additive mask, row i sees columns up to i)", fault, err)
}

// holding gives parameters other values while f runs.
func holding(params []*graph.Param, set func(p *graph.Param, v []float32), f func() error) error {
	for _, p := range params {
		v := p.Float32s()
		old := slices.Clone(v)
		defer copy(v, old)
		set(p, v)
	}
	return f()
}

// scaled multiplies by a power of two, which rounds nothing.
func scaled(by float32) func(*graph.Param, []float32) {
	return func(_ *graph.Param, v []float32) {
		for i := range v {
			v[i] *= by
		}
	}
}

// constant sets all values.
func constant(x float32) func(*graph.Param, []float32) {
	return func(_ *graph.Param, v []float32) {
		for i := range v {
			v[i] = x
		}
	}
}

// distance is the Euclidean distance of two vectors.
func distance(x, y []float32) float64 {
	sum := 0.0
	for i := range x {
		d := float64(x[i]) - float64(y[i])
		sum += d * d
	}
	return math.Sqrt(sum)
}
