package main

import (
	"fmt"
	"strconv"

	"tessera/dalle"
	"tessera/graph"
)

func (e *examination) dalle() {
	m, err := dalle.Load(e.dir)
	if err != nil {
		e.unreadable(err)
		return
	}
	e.painterTokens()
	e.decay(m.Params())
	if e.weights(m.Params()) {
		e.tables(m.Text.Weight, m.Padding)
		e.tables(m.Image.Weight, -1)
		e.dalleRows(m)
	}
	e.part(imageFolder)
}

// painterTokens compares the model with the tokenizers beside it.
func (e *examination) painterTokens() {
	const check = "tokenizers"
	if !hasTokenizer(e.dir) {
		e.skip(check, "none in the folder")
		return
	}
	_, err := loadPainter(e.dir)
	fault := ""
	if err != nil {
		fault = err.Error()
	}
	e.judge(check, "of texts and images fit the model's vocabularies and lengths", "take those the model was trained with", fault, nil)
}

// painting is what a model computes of a text and an image.
type painting struct {
	states [][]float32 // rows of T text tokens and of the image tokens but the last
	logits [][]float32 // row k scores image token k
}

// dalleRows checks what the rows of a model depend on.
func (e *examination) dalleRows(m *dalle.Model) {
	p, err := newProbe(func(b *graph.Builder) {
		b.Output("logits", m.Logits(b, b.Input("text", 1, m.TextTokens), b.Input("image", 1, m.ImageTokens)))
	}, &graph.Options{Trace: true})
	if err != nil {
		e.wrong("prefix mask", "", "cannot be computed: %v", err)
		return
	}
	defer p.Close()
	last := "trace..block." + strconv.Itoa(m.Layers-1) // traced outside any layer
	e.prefixMask(m.Config, func(text, image []int) (painting, error) {
		logits, err := p.run(graph.Values{"text": numbers(text, 1, m.TextTokens), "image": numbers(image, 1, m.ImageTokens)}, "logits")
		if err != nil {
			return painting{}, err
		}
		states, err := p.rows(last)
		return painting{states, logits}, err
	})
}

// prefixMask changes tokens of text and image and looks at which rows move. The
// text is a prefix (arXiv:2102.12092, 2.2): it does not see the image, and every
// image token sees all of it and the image tokens before.
func (e *examination) prefixMask(c dalle.Config, compute func(text, image []int) (painting, error)) {
	const (
		blind  = "text rows do not see the image"
		reads  = "image rows see the text"
		causal = "image rows are causal"
		next   = "no token predicts itself"
		prefix = "text rows among themselves"
	)
	T, N := c.TextTokens, c.ImageTokens
	rng := e.rng()
	text, okText := tokens(rng, T, c.TextVocab, c.Padding)
	image, okImage := tokens(rng, N, c.ImageVocab)
	if !okText || !okImage {
		e.skip("prefix mask", "vocabularies of %d and %d leave nothing to change", c.TextVocab, c.ImageVocab)
		return
	}
	base, err := compute(text, image)
	if err != nil {
		e.wrong("prefix mask", "", "cannot be computed: %v", err)
		return
	}
	faults := map[string]string{}
	hold := func(check string, t trial, before, after [][]float32) {
		if faults[check] == "" {
			faults[check] = t.fault(before, after)
		}
	}
	for _, j := range probedPlaces(T) {
		after, e := compute(replaced(text, j, c.TextVocab, c.Padding), image)
		if e != nil {
			err = e
			break
		}
		what := fmt.Sprintf("another text token at place %d", j)
		hold(reads, trial{what, nowhere, from(T)}, base.states, after.states)
		if c.Causal() {
			hold(prefix, trial{what, before(j), between(j, T)}, base.states, after.states)
		} else {
			hold(prefix, trial{what, nowhere, func(i int) bool { return i < T && i != j }}, base.states, after.states)
		}
	}
	for _, j := range probedPlaces(N) {
		after, e := compute(text, replaced(image, j, c.ImageVocab))
		if e != nil {
			err = e
			break
		}
		what := fmt.Sprintf("another image token at place %d", j)
		hold(blind, trial{what, before(T), nowhere}, base.states, after.states)
		hold(causal, trial{what, between(T, T+j), between(T+j, T+N-1)}, base.states, after.states)
		hold(next, trial{what, before(j + 1), from(j + 1)}, base.logits, after.logits)
	}
	among := "each sees all of the text"
	if c.Causal() {
		among = "each sees those before it, as texts are predicted too"
	}
	for _, x := range []struct{ check, good, advice string }{
		{blind, "an image token changes none of them, bit for bit", "mask image columns by −∞ in rows of text"},
		{reads, "every text token tried moves them", "a mask that blocks image rows from text columns draws without reading the text: unmask those columns"},
		{causal, "an image token changes only rows from its own on, bit for bit", "mask what comes later by −∞"},
		{next, "row k of the logits depends on image tokens before k alone", "row T−1+k of the states predicts image token k: do not slice from T"},
		{prefix, among, "text columns are masked only where the text is predicted (text_loss_weight)"},
	} {
		if x.check == prefix && T < 2 {
			continue
		}
		e.judge(x.check, x.good, x.advice, faults[x.check], err)
	}
}
