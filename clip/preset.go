package clip

import "tessera/layers/config"

// published is a model of openai/CLIP by patch, width and depth of its vision
// tower; the text tower has 64 values a head and 12 layers.
func published(patch, width, layers, text, projection int) Config {
	c := defaults()
	c.ProjectionDim = projection
	v := &c.Vision
	v.PatchSize, v.HiddenSize, v.Intermediate, v.Layers, v.Heads = patch, width, 4*width, layers, width/64
	v.ProjectionDim = projection
	t := &c.Text
	t.HiddenSize, t.Intermediate, t.Heads, t.ProjectionDim = text, 4*text, text/64, projection
	return c
}

// small is a model for images of 28 to 64 pixels and captions of a few words, of
// about 210,000 parameters. The vocabulary is to be set to a tokenizer's.
func small(image, patch, channels int) Config {
	c := defaults()
	c.ProjectionDim = 64
	v := &c.Vision
	v.ImageSize, v.PatchSize, v.Channels = image, patch, channels
	v.HiddenSize, v.Intermediate, v.Layers, v.Heads, v.ProjectionDim = 64, 128, 4, 4, 64
	t := &c.Text
	t.Vocabulary, t.Context, t.BOS, t.EOS = 512, 16, 510, 511
	t.HiddenSize, t.Intermediate, t.Layers, t.Heads, t.ProjectionDim = 48, 96, 2, 4, 64
	return c
}

var presets = config.Presets[Config]{
	{Name: "b32", Config: func() Config { return published(32, 768, 12, 512, 512) }},
	{Name: "b16", Config: func() Config { return published(16, 768, 12, 512, 512) }},
	{Name: "l14", Config: func() Config { return published(14, 1024, 24, 768, 768) }},
	{Name: "small28", Config: func() Config { return small(28, 7, 1) }},
	{Name: "small32", Config: func() Config { return small(32, 8, 3) }},
	{Name: "small64", Config: func() Config { return small(64, 8, 3) }},
}

// Presets lists the names of the presets: published sizes with their patch, and
// small ones with their image size.
func Presets() []string { return presets.Names() }

// Preset returns a named configuration.
func Preset(name string) (Config, error) { return presets.Find(name) }

// SetVocabulary makes the configuration that of a tokenizer with v tokens, of
// which start and end go around a text.
func (c *Config) SetVocabulary(v, start, end int) {
	c.Text.Vocabulary, c.Text.BOS, c.Text.EOS = v, start, end
}
