package main

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"

	"tessera/clip"
	"tessera/graph"
	"tessera/train/data"
)

// clipOrigin is what a folder says of where its CLIP comes from.
type clipOrigin struct {
	name      string // _name_or_path of config.json
	openCLIP  bool   // there is an open_clip_config.json
	quick     bool   // quick_gelu there
	mean, std []float64
}

func clipOriginOf(dir string) (o clipOrigin, err error) {
	var hf struct {
		Name string `json:"_name_or_path"`
	}
	if err := readOptional(filepath.Join(dir, "config.json"), &hf); err != nil {
		return o, err
	}
	var open struct {
		Model *struct {
			Quick bool `json:"quick_gelu"`
		} `json:"model_cfg"`
		Input struct{ Mean, Std []float64 } `json:"preprocess_cfg"`
	}
	if err := readOptional(filepath.Join(dir, "open_clip_config.json"), &open); err != nil {
		return o, err
	}
	o = clipOrigin{name: hf.Name, openCLIP: open.Model != nil, mean: open.Input.Mean, std: open.Input.Std}
	o.quick = o.openCLIP && open.Model.Quick
	return o, nil
}

const (
	quickGELU = "quick_gelu"
	exactGELU = "gelu"
)

// activation compares hidden_act with what the origin wants: OpenAI's models
// have x·σ(1.702·x), LAION's of the same shapes the exact GELU, and their
// weights look alike. halves says that the weights are OpenAI's by their
// precision.
func (o clipOrigin) activation(c clip.Config, halves bool) finding {
	act := c.Vision.HiddenAct
	say := func(s state, advice, format string, args ...any) finding {
		return finding{"activation", s, fmt.Sprintf("hidden_act is %q, ", act) + fmt.Sprintf(format, args...), advice}
	}
	const set = "set hidden_act of both towers in config.json"
	other := map[bool]string{true: exactGELU, false: quickGELU}[act == quickGELU]
	openAI := strings.HasPrefix(o.name, "openai/clip")
	switch {
	case c.Text.HiddenAct != act:
		return say(wrong, set, "but that of texts %q, want the same", c.Text.HiddenAct)
	case act != quickGELU && act != exactGELU:
		return say(doubtful, "right only where the model was trained with it", "published models have %q or %q", quickGELU, exactGELU)
	case o.openCLIP && o.quick != (act == quickGELU):
		return say(wrong, set, "want %q, as open_clip_config.json has it", other)
	case o.openCLIP:
		return say(healthy, "", "as open_clip_config.json has it")
	case act == exactGELU && openAI:
		return say(wrong, set, "want %q, for the model is %s", other, o.name)
	case act == exactGELU && halves:
		return say(wrong, set, "want %q: linear weights rounded to float16 beside embeddings in float32 are OpenAI's", other)
	case openAI || halves && act == quickGELU:
		return say(healthy, "", "as OpenAI's models have it")
	case strings.Contains(strings.ToLower(o.name), "laion"):
		if act == quickGELU {
			return say(doubtful, set, "LAION's models have %q, and the model is %s", other, o.name)
		}
		return say(healthy, "", "as LAION's models have it")
	case act == exactGELU && publishedSize(c):
		return say(doubtful, "if the weights are OpenAI's, MetaCLIP's or DFN's, "+set,
			"OpenAI's models of these sizes have %q, LAION's %q, and nothing here tells whose this is", quickGELU, exactGELU)
	}
	return say(healthy, "", "the same in both towers")
}

// publishedSize tells whether both towers have the sizes of an OpenAI model, at
// any resolution.
func publishedSize(c clip.Config) bool {
	for _, name := range []string{"b32", "b16", "l14"} {
		p, err := clip.Preset(name)
		v, t := c.Vision, c.Text
		if err == nil && v.PatchSize == p.Vision.PatchSize && v.HiddenSize == p.Vision.HiddenSize && v.Layers == p.Vision.Layers &&
			t.HiddenSize == p.Text.HiddenSize && t.Layers == p.Text.Layers && t.Vocabulary == p.Text.Vocabulary && c.ProjectionDim == p.ProjectionDim {
			return true
		}
	}
	return false
}

// openAIPrecision tells OpenAI's weights, in whatever type they are stored:
// linear layers hold values of float16, and the table of tokens others.
func openAIPrecision(ps *graph.Params) bool {
	linear := 0
	for p := range ps.All() {
		halves := true
		switch {
		case strings.HasSuffix(p.Name, "token_embedding.weight"):
			if !beyondHalf(p.Float32s()) {
				return false
			}
			continue
		case strings.HasSuffix(p.Name, "_proj.weight"), strings.Contains(p.Name, ".mlp.fc") && strings.HasSuffix(p.Name, ".weight"):
			halves = !beyondHalf(p.Float32s())
			linear++
		}
		if !halves {
			return false
		}
	}
	return linear > 0
}

// beyondHalf tells whether any value is none of float16.
func beyondHalf(v []float32) bool {
	for _, x := range v {
		if a := math.Abs(float64(x)); a < 0x1p-14 { // subnormal there
			if s := a * 0x1p24; s != math.Trunc(s) {
				return true
			}
		} else if math.Float32bits(x)&0x1fff != 0 || a > 65504 {
			return true
		}
	}
	return false
}

// colors compares mean and deviation with CLIP's.
func (o clipOrigin) colors(p *data.Preprocess) finding {
	const check = "mean and deviation"
	f := finding{Check: check, State: healthy, Found: "CLIP's, as published"}
	stated := colors{"", o.mean, o.std}
	switch {
	case len(o.mean) == 3 && len(o.std) == 3 && stated.of(p.ImageMean, p.ImageStd):
		f.Found = shown(p) + ", as open_clip_config.json has them"
	case clipColors.of(p.ImageMean, p.ImageStd):
	case imageNetColors.of(p.ImageMean, p.ImageStd):
		f = finding{check, wrong, fmt.Sprintf("ImageNet's, %s, want CLIP's, %.4g / %.4g", shown(p), clipColors.mean, clipColors.std), "set image_mean and image_std in " + preprocessFile}
	case halfColors.of(p.ImageMean, p.ImageStd):
		f = finding{check, doubtful, "0.5, as SigLIP's and some of LAION's; OpenAI's models have others", "right only where the model was trained with them"}
	default:
		f = finding{check, doubtful, shown(p) + ", those of no published model", "right only where the model was trained with them"}
	}
	return f
}
