package main

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"

	"tessera/clip"
	"tessera/graph"
	"tessera/train/data"
)

func (e *examination) clip() {
	origin, err := clipOriginOf(e.dir)
	if err != nil {
		e.wrong("opening", "", "%v", err)
		return
	}
	m, err := clip.Load(e.dir, clip.LoadOptions{Warn: e.unused})
	if err != nil {
		// What the configuration alone tells.
		if c, err := clip.ReadConfig(filepath.Join(e.dir, "config.json")); err == nil {
			e.add(origin.activation(c, false))
			e.clipPreprocessing(c.Vision, origin)
		}
		e.unreadable(err)
		return
	}
	e.add(origin.activation(m.Config, openAIPrecision(m.Params())))
	e.clipPreprocessing(m.Config.Vision, origin)
	e.clipTokens(m.Config.Text)
	e.decay(m.Params())
	if !e.weights(m.Params()) {
		return
	}
	e.temperature(float64(m.LogitScale.Float32s()[0]), m.LogitBias != nil)
	e.clipText(m)
	v := m.Config.Vision
	embed := func(images []float32) ([][]float32, error) {
		return imageRows(images, v.Channels, v.ImageSize, m.EncodeImage)
	}
	e.sight(v.Channels, v.ImageSize, v.PatchSize, embed)
	e.preNorm([]*graph.Param{m.Vision.Patches.Weight, m.Vision.Class, m.Vision.Positions}, func() ([]float32, error) {
		rows, err := embed(normals(e.rng(), v.Channels*v.ImageSize*v.ImageSize))
		if err != nil {
			return nil, err
		}
		return rows[0], nil
	})
}

// clipPreprocessing compares mean and deviation with CLIP's.
func (e *examination) clipPreprocessing(v clip.VisionConfig, origin clipOrigin) {
	if p := e.preprocessing(v.Channels, v.ImageSize); p != nil {
		e.add(origin.colors(p))
		const check = "resizing"
		if p.DoResize && p.Resample != data.Bicubic {
			e.warn(check, "set resample to 3", "resample is %d, published models have %d (bicubic)", p.Resample, data.Bicubic)
		} else {
			e.ok(check, "resample is %d, as published", p.Resample)
		}
	}
}

// legacyEnd is the eos_token_id of early configurations, in which the greatest
// id ends a text.
const legacyEnd = 2

func (e *examination) clipTokens(c clip.TextConfig) {
	t := e.readTokenizer(c.Vocabulary)
	switch {
	case t == nil:
	case c.EOS != legacyEnd:
		e.endToken(t, c.EOS)
	case t.End() != t.Size()-1:
		e.wrong("end token", "set eos_token_id in config.json", "eos_token_id is 2, which means the greatest id, %d, want %d", t.Size()-1, t.End())
	default:
		e.ok("end token", "eos_token_id is 2, which means the greatest id, %d", t.End())
	}
}

// temperature checks the logit scale, which training keeps at 100 or below
// (arXiv:2103.00020, 2.5). The sigmoid loss knows no such bound.
func (e *examination) temperature(scale float64, sigmoid bool) {
	const check, bound = "logit scale", 4.605170 // ln 100
	switch {
	case scale > bound+1e-3 && !sigmoid:
		e.wrong(check, "clamp it after every step of training", "%.4f, want at most ln 100 = %.4f", scale, bound)
	case scale < 0:
		e.warn(check, "is the exponent stored?", "%.4f, want the logarithm of a factor above 1", scale)
	default:
		e.ok(check, "%.4f: cosines times %.4g", scale, math.Exp(scale))
	}
}

// clipText checks the text tower's mask and where it is read off.
func (e *examination) clipText(m *clip.Model) {
	c := m.Config.Text
	n := min(probedTokens, c.Context)
	// A row for each place at which the text could end.
	p, err := newProbe(func(b *graph.Builder) {
		b.Output("rows", m.EncodeText(b, b.Input("ids", n, n), b.Input("ends", n)))
	}, nil)
	if err != nil {
		e.wrong("causal text", "", "cannot be computed: %v", err)
		return
	}
	defer p.Close()
	embed := func(texts [][]int, ends []int) ([][]float32, error) {
		return p.run(graph.Values{"ids": numbers(slices.Concat(texts...), n, n), "ends": numbers(ends, n)}, "rows")
	}
	ends := make([]int, n)
	for i := range ends {
		ends[i] = i
	}
	e.causal(func(ids []int) ([][]float32, error) { return embed(slices.Repeat([][]int{ids}, n), ends) }, n, c.Vocabulary)
	e.pooling(c, n, func(texts [][]int) ([][]float32, error) {
		for i, t := range texts {
			ends[i] = c.End(t)
		}
		return embed(texts, ends)
	})
}

// pooling checks that a text is read off at its end token. embed maps n texts
// of n tokens to a row each.
func (e *examination) pooling(c clip.TextConfig, n int, embed func(texts [][]int) ([][]float32, error)) {
	const check = "pooling at the end token"
	end := c.EOS
	if end == legacyEnd {
		end = c.Vocabulary - 1
	}
	ids, ok := tokens(e.rng(), n, c.Vocabulary, end)
	if !ok || n < 3 {
		e.skip(check, "a context of %d of %d tokens leaves nothing after an end token", c.Context, c.Vocabulary)
		return
	}
	at := n / 2
	text := slices.Clone(ids)
	text[at] = end
	texts := slices.Repeat([][]int{text}, n)
	base, err := embed(texts)
	var after [][]float32
	if err == nil {
		texts = slices.Clone(texts)
		for j := range texts {
			texts[j] = text
			if j != at {
				texts[j] = replaced(text, j, c.Vocabulary, end)
			}
		}
		after, err = embed(texts)
	}
	fault := ""
	if err == nil {
		// Row j is that of the text whose token j is another.
		t := trial{"another token after the end token", from(at + 1), nowhere}
		if fault = t.fault(base, after); fault == "" {
			t = trial{"another token before the end token", nowhere, before(at)}
			fault = t.fault(base, after)
		}
	}
	e.judge(check, "tokens after it change nothing, bit for bit, those before it do", "read the text off at the first end token, not at the last place or a padding token", fault, err)
}

// preNorm checks that image tokens are normalized before the first block: then
// their scale is of no consequence. embed runs one image through the tower.
func (e *examination) preNorm(tokens []*graph.Param, embed func() ([]float32, error)) {
	var rows [2][]float32
	var err error
	for i, by := range []float32{1 << 4, 1 << 12} { // so large that ε does not count
		if err == nil {
			err = holding(tokens, scaled(by), func() (err error) {
				rows[i], err = embed()
				return err
			})
		}
	}
	fault := ""
	if err == nil {
		if d := distance(rows[0], rows[1]); !(d < 1e-3) {
			fault = fmt.Sprintf("tokens 256 times as large move the embedding by %.2g, want no change", d)
		}
	}
	e.judge("norm before the blocks", "the scale of image tokens is of no consequence", preNormAdvice, fault, err)
}
