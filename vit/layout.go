package vit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"

	"tessera/graph"
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

// A place says where a layout keeps parameters.
type place struct {
	hf    []string // Hugging Face names; several are stacked along the first axis
	shape []int    // of each of them
	name  string   // in the layout
	split []int    // shape with the heads on an axis of their own
	axes  []int    // the order of split's axes in the layout; nil: the same
}

// stored is the shape of the place's tensor in the layout.
func (p place) stored() []int {
	shape := slices.Clone(p.split)
	for i, a := range p.axes {
		shape[i] = p.split[a]
	}
	shape[0] *= len(p.hf)
	return shape
}

// unpack extracts the i-th parameter from the layout's data.
func (p place) unpack(data []float32, i int) []float32 {
	if p.axes != nil {
		back := make([]int, len(p.axes))
		for i, a := range p.axes {
			back[a] = i
		}
		return permute(data, p.stored(), back)
	}
	n := len(data) / len(p.hf)
	return data[i*n : (i+1)*n]
}

// pack joins the parameters into the layout's data.
func (p place) pack(parts [][]float32) []float32 {
	if p.axes != nil {
		return permute(parts[0], p.split, p.axes)
	}
	return slices.Concat(parts...)
}

// permute reorders the axes of row-major src: axis i of the result is axis
// axes[i] of src.
func permute(src []float32, shape, axes []int) []float32 {
	strides := tensor.Shape(shape).CalcStrides()
	dst := make([]float32, 0, len(src))
	var walk func(axis, at int)
	walk = func(axis, at int) {
		if axis == len(axes) {
			dst = append(dst, src[at])
			return
		}
		a := axes[axis]
		for i := range shape[a] {
			walk(axis+1, at+i*strides[a])
		}
	}
	walk(0, 0)
	return dst
}

// places lists where the named layout keeps the parameters of a model.
func places(layout string, c Config) ([]place, error) {
	switch layout {
	case LayoutHF:
		// Every layout lists the same parameters, so this one is another
		// without its names.
		var all []place
		for _, p := range timmPlaces(c) {
			for _, name := range p.hf {
				all = append(all, place{hf: []string{name}, shape: p.shape, name: name, split: p.shape})
			}
		}
		return all, nil
	case LayoutTimm:
		return timmPlaces(c), nil
	case LayoutJAX:
		return jaxPlaces(c), nil
	}
	return nil, errors.Errorf("vit: layout %q, want %s, %s or %s", layout, LayoutHF, LayoutTimm, LayoutJAX)
}

func layerName(i int, rest string) string { return fmt.Sprintf("vit.encoder.layer.%d.%s", i, rest) }

func timmPlaces(c Config) []place {
	D, I := c.HiddenSize, c.Intermediate
	var all []place
	add := func(name string, shape []int, hf ...string) {
		all = append(all, place{hf: hf, shape: shape, name: name, split: shape})
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

func jaxPlaces(c Config) []place {
	D, I, H, P := c.HiddenSize, c.Intermediate, c.Heads, c.PatchSize
	K := D / H
	var all []place
	add := func(name, hf string, shape []int, axes ...int) {
		all = append(all, place{hf: []string{hf}, shape: shape, name: name, split: shape, axes: axes})
	}
	heads := func(name, hf string, shape, split []int, axes ...int) {
		all = append(all, place{hf: []string{hf}, shape: shape, name: name, split: split, axes: axes})
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

// rename gives the tensors of s their Hugging Face names and shapes. Tensors
// that have no place keep their own. The head may be missing, other tensors
// may not.
func rename(s *store, all []place) (map[string]graph.Lazy, error) {
	entries := map[string]graph.Lazy{}
	placed := map[string]bool{}
	var faults []string
	for _, p := range all {
		got, ok := s.shapes[p.name]
		if !ok {
			if !strings.HasPrefix(p.hf[0], "classifier.") {
				faults = append(faults, fmt.Sprintf("no tensor %q, want one of shape %v", p.name, tensor.Shape(p.stored())))
			}
			continue
		}
		placed[p.name] = true
		if !slices.Equal(got, p.stored()) {
			faults = append(faults, fmt.Sprintf("tensor %q has shape %v, want %v", p.name, tensor.Shape(got), tensor.Shape(p.stored())))
			continue
		}
		for i, name := range p.hf {
			entries[name] = graph.Lazy{Shape: p.shape, Read: func() ([]float32, error) {
				data, err := s.read(p.name)
				if err != nil {
					return nil, err
				}
				return p.unpack(data, i), nil
			}}
		}
	}
	if len(faults) > 0 {
		return nil, errors.Errorf("%s: %s", s.path, strings.Join(faults, "\n\t"))
	}
	for name, shape := range s.shapes {
		if !placed[name] {
			entries[name] = graph.Lazy{Shape: shape, Read: func() ([]float32, error) { return s.read(name) }}
		}
	}
	return entries, nil
}
