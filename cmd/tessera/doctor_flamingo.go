package main

import (
	"fmt"
	"path/filepath"
	"slices"

	"tessera/flamingo"
	"tessera/graph"
)

func (e *examination) flamingo() {
	o := flamingo.LoadOptions{Warn: e.unused}
	if run := filepath.Join(e.dir, "..", "..", flamingo.LanguageName); !exists(filepath.Join(e.dir, flamingo.LanguageName)) && exists(run) {
		o.Language = run // of a checkpoint in the folder of its run
	}
	m, err := flamingo.Load(e.dir, o)
	if err != nil {
		e.unreadable(err)
		return
	}
	e.readTokenizer(m.Vocabulary())
	e.decay(m.Params())
	if e.weights(m.Params()) {
		e.flamingoRows(m)
	}
	e.part(flamingo.LanguageName)
	e.part(visionFolder)
}

// story is a text with two images that a model is probed with: two words, an
// image, two words, an image, two words.
type story struct {
	ids, time    []int
	first, later int // places of the media tokens
}

func newStory(e *examination, c flamingo.Config) (s story, ok bool) {
	s = story{time: []int{0, 0, 1, 1, 1, 2, 2, 2}, first: 2, later: 5}
	// The language model alone knows no added tokens.
	s.ids, ok = tokens(e.rng(), len(s.time), c.Text.VocabSize, c.Media, c.EndChunk, c.Padding)
	if ok && len(s.ids) <= c.Text.Context {
		s.ids[s.first], s.ids[s.later] = c.Media, c.Media
		return s, true
	}
	return s, false
}

// flamingoRows checks what the rows of a text depend on.
func (e *examination) flamingoRows(m *flamingo.Model) {
	s, fits := newStory(e, m.Config)
	if !fits || m.Resampler.Times != nil && m.Config.Resampler.MaxImages < 2 {
		e.skip("media mask", "%d positions and %d words are too few for a text with two images", m.Text.Context, m.Text.VocabSize)
		return
	}
	const T, F, N = 2, 1, 3
	L := len(s.ids)
	patches := normals(e.rng(), T*F*N*m.Vision)
	// logits runs a new graph, for parameters may have changed.
	logits := func(ids []int, patches ...[]float32) (rows [][][]float32, err error) {
		p, err := newProbe(func(b *graph.Builder) {
			latents := m.Latents(b, b.Input("patches", 1, T, F, N, m.Vision), nil)
			b.Output("logits", m.Logits(b, b.Input("ids", 1, L), b.Input("time", 1, L), latents))
		}, nil)
		if err != nil {
			return nil, err
		}
		defer p.Close()
		for _, x := range patches {
			in := graph.Values{"ids": numbers(ids, 1, L), "time": numbers(s.time, 1, L), "patches": numbers(x, 1, T, F, N, m.Vision)}
			one, err := p.run(in, "logits")
			if err != nil {
				return nil, err
			}
			rows = append(rows, one)
		}
		return rows, nil
	}
	e.causal(func(ids []int) ([][]float32, error) {
		rows, err := logits(ids, patches)
		if err != nil {
			return nil, err
		}
		return rows[0], nil
	}, L, m.Text.VocabSize, m.Media)
	e.closedGates(m, s, func(ids []int) ([][]float32, error) {
		rows, err := logits(ids, patches)
		if err != nil {
			return nil, err
		}
		return rows[0], nil
	})
	e.gates(m)
	e.mediaMask(m, s, patches, func(x ...[]float32) ([][][]float32, error) { return logits(s.ids, x...) })
}

// gatesOf lists the gates of all blocks, in order.
func gatesOf(m *flamingo.Model) []*graph.Param {
	var gates []*graph.Param
	for i := range m.Language.Blocks {
		if k, ok := m.Gated[i]; ok {
			gates = append(gates, k.AttentionGate, k.FeedGate)
		}
	}
	return gates
}

// gates looks for gates that are still where they start.
func (e *examination) gates(m *flamingo.Model) {
	const check = "gates"
	var closed []string
	all := gatesOf(m)
	for _, p := range all {
		if p.Float32s()[0] == 0 {
			closed = append(closed, p.Name)
		}
	}
	if len(closed) > 0 {
		e.warn(check, "a gate at 0 lets nothing through, as at the start of training", "%d of %d are 0: %s", len(closed), len(all), few(closed))
		return
	}
	e.ok(check, "%d in %d blocks, all open", len(all), len(m.Gated))
}

// closedGates checks that with gates at 0 the model is the language model
// (arXiv:2204.14198, 2.2).
func (e *examination) closedGates(m *flamingo.Model, s story, logits func(ids []int) ([][]float32, error)) {
	ids := slices.Clone(s.ids)
	for _, at := range []int{s.first, s.later} {
		if ids[at] >= m.Text.VocabSize {
			ids[at] = ids[0] // a word: the language model has no media token
		}
	}
	fault := ""
	err := holding(gatesOf(m), constant(0), func() error {
		got, err := logits(ids)
		if err != nil {
			return err
		}
		p, err := newProbe(func(b *graph.Builder) { b.Output("logits", m.Language.Logits(b, b.Input("ids", 1, len(ids)))) }, nil)
		if err != nil {
			return err
		}
		defer p.Close()
		want, err := p.run(graph.Values{"ids": numbers(ids, 1, len(ids))}, "logits")
		if err == nil {
			fault = closedFault(got, want)
		}
		return err
	})
	e.judge("gates at 0", "give the language model's logits, bit for bit", "each gated branch is added to the text times tanh(gate), and the language model stays frozen", fault, err)
}

// closedFault compares logits of all tokens with those of the language model,
// which knows the first of them.
func closedFault(got, want [][]float32) string {
	for i, row := range want {
		for j, w := range row {
			if got[i][j] != w {
				return fmt.Sprintf("row %d scores token %d with %g, the language model with %g", i, j, got[i][j], w)
			}
		}
	}
	return ""
}

// mediaMask changes one image after another. So that tokens do not hand on to
// later ones what they saw, the language model's attention is switched off, and
// gates are opened.
func (e *examination) mediaMask(m *flamingo.Model, s story, patches []float32, logits func(patches ...[]float32) ([][][]float32, error)) {
	const check = "media mask"
	half := len(patches) / 2
	other := normals(e.rng(), len(patches)+half)[half:] // other numbers than patches
	runs := [][]float32{
		patches,
		slices.Concat(other[:half], patches[half:]),
		slices.Concat(patches[:half], other[half:]),
	}
	var mixing []*graph.Param
	for _, k := range m.Language.Blocks {
		mixing = append(mixing, k.Attn.Out.Weight)
		if k.Attn.Out.Bias != nil {
			mixing = append(mixing, k.Attn.Out.Bias)
		}
	}
	fault := ""
	err := holding(gatesOf(m), constant(1), func() error {
		return holding(mixing, constant(0), func() error {
			rows, err := logits(runs...)
			if err != nil {
				return err
			}
			fault = mediaFault(s, m.Immediate, rows)
			return nil
		})
	})
	good := "an image changes the rows from its token up to the next image's, bit for bit no others"
	if !m.Immediate {
		good = "an image changes the rows from its token on, bit for bit none before"
	}
	e.judge(check, good, "a row sees the latents of the last image before it, and rows before the first image none", fault, err)
	if err == nil && fault == "" && !m.Immediate {
		e.warn("images seen", "right only where the model was trained so", "only_attend_immediate_media is false, the paper's models see the last image alone (arXiv:2204.14198, 2.3)")
	}
}

// mediaFault compares the rows of a story with those after another first image
// and after another second one.
func mediaFault(s story, immediate bool, rows [][][]float32) string {
	end := len(s.ids)
	if immediate {
		end = s.later
	}
	first, later := between(s.first, end), from(s.later)
	not := func(set func(int) bool) func(int) bool { return func(i int) bool { return !set(i) } }
	if fault := (trial{"another first image", not(first), first}).fault(rows[0], rows[1]); fault != "" {
		return fault
	}
	return trial{"another second image", not(later), later}.fault(rows[0], rows[2])
}
