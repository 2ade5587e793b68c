package main

import (
	"tessera/graph"
	"tessera/vit"
)

func (e *examination) vit() {
	m, err := vit.Load(e.dir, vit.LoadOptions{Warn: e.unused})
	if err != nil {
		e.unreadable(err)
		return
	}
	e.vitSettings(m.Config)
	if p := e.preprocessing(m.Channels, m.ImageSize); p != nil {
		const check = "mean and deviation"
		switch {
		case halfColors.of(p.ImageMean, p.ImageStd):
			e.ok(check, "0.5, as google/vit and augreg")
		case imageNetColors.of(p.ImageMean, p.ImageStd):
			e.ok(check, "ImageNet's, as DeiT and DINO; google/vit and augreg have 0.5")
		case clipColors.of(p.ImageMean, p.ImageStd):
			e.ok(check, "CLIP's, as towers trained by CLIP; google/vit and augreg have 0.5")
		default:
			e.warn(check, "right only where the model was trained with them", "%s, those of no published model", shown(p))
		}
	}
	e.decay(m.Params())
	if !e.weights(m.Params()) {
		return
	}
	e.sight(m.Channels, m.ImageSize, m.PatchSize, func(images []float32) ([][]float32, error) {
		return imageRows(images, m.Channels, m.ImageSize, m.Logits)
	})
}

// vitSettings compares with the published models.
func (e *examination) vitSettings(c vit.Config) {
	if c.HiddenAct == "gelu" {
		e.ok("activation", "hidden_act is \"gelu\", as published")
	} else {
		e.warn("activation", "right only where the model was trained with it", "hidden_act is %q, published models have \"gelu\"", c.HiddenAct)
	}
	if c.LayerNormEps <= 1e-6 {
		e.ok("layer norm", "layer_norm_eps is %g", c.LayerNormEps)
	} else {
		e.warn("layer norm", "right only where the model was trained with it", "layer_norm_eps is %g, published models have 1e-12 or 1e-6", c.LayerNormEps)
	}
}

// imageRows runs images (n·C·S·S) through a tower.
func imageRows(images []float32, channels, size int, tower func(b *graph.Builder, x *graph.Node) *graph.Node) ([][]float32, error) {
	n := len(images) / (channels * size * size)
	p, err := newProbe(func(b *graph.Builder) {
		b.Output("rows", tower(b, b.Input("image", n, channels, size, size)))
	}, nil)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	return p.run(graph.Values{"image": numbers(images, n, channels, size, size)}, "rows")
}
