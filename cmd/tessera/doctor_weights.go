package main

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"

	"tessera/graph"
	"tessera/train/optim"
)

// ailments are checks that a missing or misshapen tensor belongs to, by a part
// of its name.
var ailments = []struct{ part, check, advice string }{
	{"pre_layrnorm", "norm before the blocks", preNormAdvice},
	{"ln_pre", "norm before the blocks", preNormAdvice},
	{"_gate", "gates", "every gated block has two, attn_gate and ff_gate, each times its branch by tanh"},
	{"position", "position table", "it has a row for each token: image_size/patch_size squared and the class token, or the context"},
	{"pos_embed", "position table", "it has a row for each token"},
	{"wpe", "position table", "it has n_positions rows"},
}

const preNormAdvice = "CLIP normalizes image tokens before its first block; the published name is pre_layrnorm (sic), ln_pre in OpenAI's files; convert again from the original"

// unreadable adds what keeps the model from being opened, line by line of the
// error, and that nothing can be computed.
func (e *examination) unreadable(err error) {
	var order []string
	lines, advice := map[string][]string{}, map[string]string{}
	for line := range strings.Lines(err.Error()) {
		check, help := "opening", ""
		line = strings.TrimSpace(line)
		if at := strings.Index(line, "tensor \""); at >= 0 {
			check, help = "tensors", "the configuration must be that of the weights"
			name, _, _ := strings.Cut(line[at+len("tensor \""):], `"`)
			for _, a := range ailments {
				if strings.Contains(name, a.part) {
					check, help = a.check, a.advice
					break
				}
			}
			line = strings.TrimPrefix(line[strings.LastIndex(line[:at], ": ")+1:], " ")
		}
		if lines[check] == nil {
			order = append(order, check)
		}
		lines[check], advice[check] = append(lines[check], line), help
	}
	for _, check := range order {
		all := lines[check]
		found := all[0]
		if n := len(all) - 1; n > 0 {
			found = fmt.Sprintf("%s (and %d more)", found, n)
		}
		e.wrong(check, advice[check], "%s", found)
	}
	e.skip("computation", "the model cannot be opened")
}

// unused is told of tensors that the model does not read.
func (e *examination) unused(message string) {
	e.warn("tensors", "another model's, or under another name than the published one", "%s", message)
}

// weights looks for values that no training leaves. It tells whether the model
// can be computed with.
func (e *examination) weights(ps *graph.Params) bool {
	var broken, empty []string
	for p := range ps.All() {
		zeros, v := 0, p.Float32s()
		for i, x := range v {
			if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
				broken = append(broken, fmt.Sprintf("%s[%d] is %g", p.Name, i, x))
				break
			}
			if x == 0 {
				zeros++
			}
		}
		// Averages of a codebook that never was trained are no weights.
		if p.Shape().Dims() >= 2 && zeros == len(v) && !strings.HasPrefix(p.Name, "vq.embed_sum") {
			empty = append(empty, p.Name)
		}
	}
	switch {
	case len(broken) > 0:
		e.wrong("weights", "train again from an earlier checkpoint, with a lower rate or --clip", "%s, want finite values", few(broken))
		e.skip("computation", "weights are not finite")
		return false
	case len(empty) > 0:
		e.warn("weights", "no training leaves a whole matrix at zero: is a part of the checkpoint lost?", "all zero: %s", few(empty))
	default:
		e.ok("weights", "%s values in %d tensors, all finite", thousands(ps.Size()), ps.Len())
	}
	return true
}

// few names the first of many.
func few(names []string) string {
	const most = 3
	if n := len(names) - most; n > 0 {
		return fmt.Sprintf("%s (and %d more)", strings.Join(names[:most], ", "), n)
	}
	return strings.Join(names, ", ")
}

// tables looks for rows of a table of tokens (V, D) that are all zero: tokens
// that were never learned. padding may be.
func (e *examination) tables(p *graph.Param, padding int) {
	check := "rows of " + p.Name
	var zero []string
	V, D := p.Shape()[0], p.Shape()[1]
	for i := range V {
		if i == padding {
			continue
		}
		if rowIsZero(p.Float32s()[i*D : (i+1)*D]) {
			zero = append(zero, fmt.Sprint(i))
		}
	}
	if len(zero) > 0 {
		e.warn(check, "texts with these tokens mean nothing to the model", "%d of %d are all zero: %s", len(zero), V, few(zero))
		return
	}
	e.ok(check, "none of %d is all zero", V)
}

func rowIsZero(row []float32) bool {
	for _, x := range row {
		if x != 0 {
			return false
		}
	}
	return true
}

// decay checks which parameters the optimizer pulls towards zero: matrices, but
// not what adds to activations or scales them.
func (e *examination) decay(ps *graph.Params) {
	const check = "decay groups"
	if e.decaysAll() {
		e.warn(check, "train without --decay-all", "the run decayed all parameters, biases and norms too, want matrices only")
		return
	}
	trained, decayed, tables, faults := 0, 0, []string(nil), []string(nil)
	for p := range ps.Trained() {
		trained++
		if !optim.Matrices(p) {
			continue
		}
		decayed++
		if neverDecays(p.Name) {
			faults = append(faults, p.Name)
		}
		if strings.Contains(p.Name, "token_embed") || strings.HasSuffix(p.Name, "text_embedding.weight") || strings.HasSuffix(p.Name, "image_embedding.weight") || strings.Contains(p.Name, "wte") || strings.Contains(p.Name, "wpe") {
			tables = append(tables, p.Name)
		}
	}
	switch {
	case len(faults) > 0:
		e.wrong(check, "leave them out of AdamW's Decays", "%s would decay, want biases, norms, gates, class tokens and temperatures left alone", few(faults))
	case trained == 0:
		e.skip(check, "nothing is trained")
	case len(tables) > 0:
		e.ok(check, "%d of %d tensors decay, all matrices; of embeddings %s", decayed, trained, few(tables))
	default:
		e.ok(check, "%d of %d tensors decay, all matrices", decayed, trained)
	}
}

// decaysAll tells whether the run that left the folder, or the checkpoint that
// it is, decayed every parameter.
func (e *examination) decaysAll() bool {
	for _, pattern := range []string{"trainer.json", "checkpoints/*/trainer.json"} {
		saved, _ := filepath.Glob(filepath.Join(e.dir, filepath.FromSlash(pattern)))
		for _, path := range saved {
			var trainer struct{ Settings map[string]string }
			if err := readOptional(path, &trainer); err == nil && trainer.Settings["decay-all"] == "true" {
				return true
			}
		}
	}
	return false
}

// neverDecays tells by its name whether a parameter is one that never decays.
func neverDecays(name string) bool {
	if strings.HasSuffix(name, ".bias") || strings.HasSuffix(name, "_gate") {
		return true
	}
	for _, part := range []string{"norm", ".ln_", "ln_f", "logit_", "cls_token", "class_embedding", "position_embedding", "pos_embed"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}
