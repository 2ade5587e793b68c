package vit

import (
	"fmt"
	"strings"

	"github.com/pkg/errors"

	"tessera/layers/checkpoint"
)

// The layouts of published checkpoints.
const (
	LayoutHF   = "hf"   // transformers' ViTForImageClassification
	LayoutTimm = "timm" // PyTorch Image Models
	LayoutJAX  = "jax"  // vision_transformer and big_vision, .npz
)

const (
	classToken    = "vit.embeddings.cls_token"
	positionTable = "vit.embeddings.position_embeddings"
	patchKernel   = "vit.embeddings.patch_embeddings.projection.weight"
	patchBias     = "vit.embeddings.patch_embeddings.projection.bias"
	headKernel    = "classifier.weight"
	headBias      = "classifier.bias"
)

// ofHead tells whether a place is that of the classifier.
func ofHead(p checkpoint.Place) bool { return strings.HasPrefix(p.Params[0], "classifier.") }

// places lists where the named layout keeps the parameters of a model.
func places(layout string, c Config) ([]checkpoint.Place, error) {
	switch layout {
	case LayoutHF:
		// Every layout lists the same parameters, so this one is another
		// without its names.
		return checkpoint.Own(timmPlaces(c)), nil
	case LayoutTimm:
		return timmPlaces(c), nil
	case LayoutJAX:
		return jaxPlaces(c), nil
	}
	return nil, errors.Errorf("vit: layout %q, want %s, %s or %s", layout, LayoutHF, LayoutTimm, LayoutJAX)
}

func layerName(i int, rest string) string { return fmt.Sprintf("vit.encoder.layer.%d.%s", i, rest) }

func timmPlaces(c Config) []checkpoint.Place {
	D, I := c.HiddenSize, c.Intermediate
	var all []checkpoint.Place
	add := func(name string, shape []int, hf ...string) {
		all = append(all, checkpoint.Place{Params: hf, Shape: shape, Name: name})
	}
	pair := func(name string, out, in int, hf ...string) {
		var weights, biases []string
		for _, n := range hf {
			weights, biases = append(weights, n+".weight"), append(biases, n+".bias")
		}
		shape := []int{out, in}
		if in == 0 { // a norm
			shape = []int{out}
		}
		add(name+".weight", shape, weights...)
		if c.QKVBias || !strings.HasSuffix(name, ".qkv") {
			add(name+".bias", []int{out}, biases...)
		}
	}
	add("cls_token", []int{1, 1, D}, classToken)
	add("pos_embed", []int{1, c.Tokens(), D}, positionTable)
	add("patch_embed.proj.weight", []int{D, c.Channels, c.PatchSize, c.PatchSize}, patchKernel)
	add("patch_embed.proj.bias", []int{D}, patchBias)
	for i := range c.Layers {
		block := fmt.Sprintf("blocks.%d.", i)
		pair(block+"norm1", D, 0, layerName(i, "layernorm_before"))
		pair(block+"attn.qkv", D, D, layerName(i, "attention.attention.query"),
			layerName(i, "attention.attention.key"), layerName(i, "attention.attention.value"))
		pair(block+"attn.proj", D, D, layerName(i, "attention.output.dense"))
		pair(block+"norm2", D, 0, layerName(i, "layernorm_after"))
		pair(block+"mlp.fc1", I, D, layerName(i, "intermediate.dense"))
		pair(block+"mlp.fc2", D, I, layerName(i, "output.dense"))
	}
	pair("norm", D, 0, "vit.layernorm")
	pair("head", c.Classes(), D, "classifier")
	return all
}

func jaxPlaces(c Config) []checkpoint.Place {
	D, I, H, P := c.HiddenSize, c.Intermediate, c.Heads, c.PatchSize
	K := D / H
	var all []checkpoint.Place
	add := func(name, hf string, shape []int, axes ...int) {
		all = append(all, checkpoint.Place{Params: []string{hf}, Shape: shape, Name: name, Axes: axes})
	}
	heads := func(name, hf string, shape, split []int, axes ...int) {
		all = append(all, checkpoint.Place{Params: []string{hf}, Shape: shape, Name: name, Split: split, Axes: axes})
	}
	norm := func(name, hf string) {
		add(name+"/scale", hf+".weight", []int{D})
		add(name+"/bias", hf+".bias", []int{D})
	}
	dense := func(name, hf string, out, in int) {
		add(name+"/kernel", hf+".weight", []int{out, in}, 1, 0)
		add(name+"/bias", hf+".bias", []int{out})
	}
	add("cls", classToken, []int{1, 1, D})
	add("Transformer/posembed_input/pos_embedding", positionTable, []int{1, c.Tokens(), D})
	add("embedding/kernel", patchKernel, []int{D, c.Channels, P, P}, 2, 3, 1, 0)
	add("embedding/bias", patchBias, []int{D})
	for i := range c.Layers {
		block := fmt.Sprintf("Transformer/encoderblock_%d/", i)
		attn := block + "MultiHeadDotProductAttention_1/"
		norm(block+"LayerNorm_0", layerName(i, "layernorm_before"))
		for _, part := range []string{"query", "key", "value"} {
			hf := layerName(i, "attention.attention."+part)
			heads(attn+part+"/kernel", hf+".weight", []int{D, D}, []int{H, K, D}, 2, 0, 1)
			if c.QKVBias {
				heads(attn+part+"/bias", hf+".bias", []int{D}, []int{H, K})
			}
		}
		heads(attn+"out/kernel", layerName(i, "attention.output.dense.weight"), []int{D, D}, []int{D, H, K}, 1, 2, 0)
		add(attn+"out/bias", layerName(i, "attention.output.dense.bias"), []int{D})
		norm(block+"LayerNorm_2", layerName(i, "layernorm_after"))
		dense(block+"MlpBlock_3/Dense_0", layerName(i, "intermediate.dense"), I, D)
		dense(block+"MlpBlock_3/Dense_1", layerName(i, "output.dense"), D, I)
	}
	norm("Transformer/encoder_norm", "vit.layernorm")
	dense("head", "classifier", c.Classes(), D)
	return all
}
