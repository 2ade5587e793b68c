package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/pkg/errors"

	"tessera/graph"
	"tessera/graph/safetensors"
	"tessera/train/optim"
)

// adamwSteps is adamw.json: steps of AdamW on the golden batch, and what each
// of them saw.
type adamwSteps struct {
	Betas       [2]float64 `json:"betas"`
	ClipNorm    float64    `json:"clip_norm"`
	Decay       string     `json:"decay_applies_to"`
	Eps         float64    `json:"eps"`
	Norms       []float64  `json:"grad_norms_before_clip"`
	Losses      []float64  `json:"losses"`
	LR          float64    `json:"lr"`
	Steps       int        `json:"steps"`
	WeightDecay float64    `json:"weight_decay"`
}

// decayOfAll is the only rule that stored steps follow.
const decayOfAll = "all parameters"

func readAdamW(path string) (adamwSteps, error) {
	var a adamwSteps
	text, err := os.ReadFile(path)
	if err != nil {
		return a, errors.WithStack(err)
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return a, errors.Wrap(err, path)
	}
	switch {
	case a.Steps < 1 || len(a.Losses) != a.Steps || len(a.Norms) != a.Steps:
		return a, errors.Errorf("%s: %d steps with %d losses and %d norms, want as many of each", path, a.Steps, len(a.Losses), len(a.Norms))
	case a.Decay != decayOfAll:
		return a, errors.Errorf("%s: decay_applies_to is %q, want %q", path, a.Decay, decayOfAll)
	}
	return a, nil
}

// verifyAdamW repeats the steps stored in the folder, if there are any. It
// changes the model's parameters.
func verifyAdamW(dir string, s *subject, prog *graph.Program, tol float64) ([]deviation, error) {
	a, err := readAdamW(filepath.Join(dir, "adamw.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	after, err := safetensors.Open(filepath.Join(dir, "after_adamw.safetensors"))
	if err != nil {
		return nil, err
	}
	defer after.Close()

	var found []deviation
	slack := rounding{}
	o := optim.AdamW{Beta1: a.Betas[0], Beta2: a.Betas[1], Eps: a.Eps, WeightDecay: a.WeightDecay, Decays: optim.All}
	for i := range a.Steps {
		if err := prog.Run(s.batch); err != nil {
			return nil, err
		}
		norm := optim.Norm(prog.Grads())
		number := func(what string, have, want float64) {
			found = append(found, compare(fmt.Sprintf("adamw.%s.%d", what, i+1), []float32{float32(have)}, []float64{want}, 0, tol))
		}
		number("loss", prog.Scalar("loss"), a.Losses[i])
		number("norm", norm, a.Norms[i])
		scale := 1.0
		if a.ClipNorm > 0 {
			scale = min(1, a.ClipNorm/norm)
		}
		slack.add(a, scale, prog.Grads())
		if err := o.Step(a.LR, scale, prog.Grads()); err != nil {
			return nil, err
		}
	}
	weights, err := compareWeights(after, s.params, slack, tol)
	return append(found, weights...), err
}

// rounding maps parameters to how far rounding errors of gradients may have
// moved each element. AdamW divides a gradient by its own size, so that one
// which is zero but for rounding, as those of keys' biases, still makes a step.
type rounding map[*graph.Param][]float64

// add allows for a step: an error of the gradient of float32's precision,
// relative to the largest entry of all gradients, moves a weight by its share
// of the entry itself, and by no more than the learning rate.
func (r rounding) add(a adamwSteps, scale float64, grads []graph.Grad) {
	top := 0.0
	for _, g := range grads {
		for _, v := range g.Value.Float32s() {
			top = max(top, scale*math.Abs(float64(v)))
		}
	}
	err := top / (1 << 24)
	for _, g := range grads {
		if r[g.Param] == nil {
			r[g.Param] = make([]float64, g.Param.Shape().TotalSize())
		}
		for i, v := range g.Value.Float32s() {
			r[g.Param][i] += a.LR * min(1, err/(scale*math.Abs(float64(v))+a.Eps))
		}
	}
}

// compareWeights compares the parameters with the stored ones; what rounding
// explains does not count as an error.
func compareWeights(after *safetensors.File, params *graph.Params, slack rounding, tol float64) ([]deviation, error) {
	var found []deviation
	for _, name := range after.Names() {
		full := "adamw." + name
		p := params.Get(name)
		if p == nil {
			found = append(found, deviation{Name: full, Note: "the model has no such parameter"})
			continue
		}
		want, err := after.Float64(name)
		if err != nil {
			return nil, err
		}
		d := compare(full, p.Float32s(), want, 0, tol)
		if !d.OK && d.Note == "" {
			far := d.Absolute
			for i, v := range p.Float32s() {
				e := float64(v) - want[i]
				want[i] = float64(v) - math.Copysign(max(0, math.Abs(e)-slack[p][i]), e)
			}
			d = compare(full, p.Float32s(), want, largest(want), tol)
			d.Note = fmt.Sprintf("up to %.1e apart where the gradient is rounding error", far)
		}
		found = append(found, d)
	}
	for p := range params.Trained() {
		if _, ok := after.Info(p.Name); !ok {
			found = append(found, deviation{Name: "adamw." + p.Name, Note: "not stored"})
		}
	}
	return found, nil
}
