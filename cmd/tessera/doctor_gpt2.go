package main

import (
	"tessera/flamingo/gpt2"
	"tessera/graph"
)

func (e *examination) gpt2() {
	m, err := gpt2.Load(e.dir, gpt2.LoadOptions{Warn: e.unused})
	if err != nil {
		e.unreadable(err)
		return
	}
	e.gpt2Activation(m.Config)
	e.tokenizer(m.VocabSize, m.EndID)
	e.decay(m.Params())
	if !e.weights(m.Params()) {
		return
	}
	e.tables(m.Tokens.Weight, -1)
	n := min(probedTokens, m.Context)
	p, err := newProbe(func(b *graph.Builder) { b.Output("logits", m.Logits(b, b.Input("ids", 1, n))) }, nil)
	if err != nil {
		e.wrong("causal text", "", "cannot be computed: %v", err)
		return
	}
	defer p.Close()
	e.causal(func(ids []int) ([][]float32, error) {
		return p.run(graph.Values{"ids": numbers(ids, 1, n)}, "logits")
	}, n, m.VocabSize)
}

// gpt2Activation compares with the published models, which all have the same.
func (e *examination) gpt2Activation(c gpt2.Config) {
	const check, usual = "activation", "gelu_new"
	published := false
	for _, p := range []gpt2.Config{gpt2.Small(), gpt2.Medium(), gpt2.Large(), gpt2.XL()} {
		published = published || c.VocabSize == p.VocabSize && c.Width == p.Width && c.Layers == p.Layers && c.Heads == p.Heads
	}
	switch {
	case c.Activation == usual:
		e.ok(check, "activation_function is %q, as published", usual)
	case published:
		e.wrong(check, "set activation_function in config.json", "activation_function is %q, want %q for a model of GPT-2's sizes", c.Activation, usual)
	default:
		e.ok(check, "activation_function is %q, in a model of none of the published sizes", c.Activation)
	}
}
