package clip

import (
	"fmt"

	"github.com/pkg/errors"

	"tessera/layers/checkpoint"
)

// The layouts of published checkpoints.
const (
	LayoutHF     = "hf"     // transformers' CLIPModel
	LayoutOpenAI = "openai" // openai/CLIP and open_clip
)

// places lists where the named layout keeps the parameters of a model.
func places(layout string, c Config) ([]checkpoint.Place, error) {
	switch layout {
	case LayoutOpenAI:
		return openAIPlaces(c), nil
	case LayoutHF:
		// Both layouts list the same parameters, so this one is the other
		// without its names.
		return checkpoint.Own(openAIPlaces(c)), nil
	}
	return nil, errors.Errorf("clip: layout %q, want %s or %s", layout, LayoutHF, LayoutOpenAI)
}

func openAIPlaces(c Config) []checkpoint.Place {
	var all []checkpoint.Place
	add := func(name, hf string, shape ...int) {
		all = append(all, checkpoint.Place{Params: []string{hf}, Shape: shape, Name: name})
	}
	// pair is a layer with a bias; in is 0 for norms.
	pair := func(name, hf string, out, in int) {
		if in > 0 {
			add(name+".weight", hf+".weight", out, in)
		} else {
			add(name+".weight", hf+".weight", out)
		}
		add(name+".bias", hf+".bias", out)
	}
	projection := func(name, hf string, width int) {
		all = append(all, checkpoint.Place{Params: []string{hf}, Shape: []int{c.ProjectionDim, width}, Name: name, Axes: []int{1, 0}})
	}
	tower := func(prefix, hf string, layers, D, I int) {
		for i := range layers {
			from := fmt.Sprintf("%stransformer.resblocks.%d.", prefix, i)
			to := fmt.Sprintf("%s.encoder.layers.%d.", hf, i)
			pair(from+"ln_1", to+"layer_norm1", D, 0)
			for _, kind := range []struct {
				name  string
				shape []int
			}{{"weight", []int{D, D}}, {"bias", []int{D}}} {
				all = append(all, checkpoint.Place{Name: from + "attn.in_proj_" + kind.name, Shape: kind.shape, Params: []string{
					to + "self_attn.q_proj." + kind.name, to + "self_attn.k_proj." + kind.name, to + "self_attn.v_proj." + kind.name,
				}})
			}
			pair(from+"attn.out_proj", to+"self_attn.out_proj", D, D)
			pair(from+"ln_2", to+"layer_norm2", D, 0)
			pair(from+"mlp.c_fc", to+"mlp.fc1", I, D)
			pair(from+"mlp.c_proj", to+"mlp.fc2", D, I)
		}
	}
	add("logit_scale", "logit_scale")
	if c.LogitBias != nil {
		add("logit_bias", "logit_bias")
	}
	t, text := c.Text, "text_model"
	add("token_embedding.weight", text+".embeddings.token_embedding.weight", t.Vocabulary, t.HiddenSize)
	add("positional_embedding", text+".embeddings.position_embedding.weight", t.Context, t.HiddenSize)
	tower("", text, t.Layers, t.HiddenSize, t.Intermediate)
	pair("ln_final", text+".final_layer_norm", t.HiddenSize, 0)
	projection("text_projection", "text_projection.weight", t.HiddenSize)
	v, vision := c.Vision, "vision_model"
	add("visual.class_embedding", vision+".embeddings.class_embedding", v.HiddenSize)
	add("visual.conv1.weight", vision+".embeddings.patch_embedding.weight", v.HiddenSize, v.Channels, v.PatchSize, v.PatchSize)
	add("visual.positional_embedding", vision+".embeddings.position_embedding.weight", v.Tokens(), v.HiddenSize)
	pair("visual.ln_pre", vision+".pre_layrnorm", v.HiddenSize, 0)
	tower("visual.", vision, v.Layers, v.HiddenSize, v.Intermediate)
	pair("visual.ln_post", vision+".post_layernorm", v.HiddenSize, 0)
	projection("visual.proj", "visual_projection.weight", v.HiddenSize)
	return all
}
