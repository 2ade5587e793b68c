package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"

	"tessera/graph"
	"tessera/graph/safetensors"
)

// cancelled is the share of the largest gradient of a model below which a
// stored gradient is rounding error: exactly 0 in theory, as that of keys'
// biases, to which softmax is blind, or of biases before a batch norm. Errors
// are taken relative to no less.
const cancelled = 2e-3

// subject is a model that can be held against stored results.
type subject struct {
	params *graph.Params
	batch  graph.Values                              // the stored inputs
	inputs []string                                  // their names in the file
	build  func(b *graph.Builder) (loss *graph.Node) // outputs under the file's names

	options *graph.Options                       // of that graph; nil: evaluation
	further func(got map[string][]float32) error // adds what the run has left beside its outputs; nil: nothing
}

// subjects makes the subject of a model folder by the model_type of its
// configuration.
func subjects(kind string) (func(dir string, golden *safetensors.File) (*subject, error), error) {
	switch kind {
	case "vit":
		return vitSubject, nil
	case "clip":
		return clipSubject, nil
	case "gpt2":
		return gpt2Subject, nil
	case "dalle":
		return dalleSubject, nil
	case "flamingo":
		return flamingoSubject, nil
	case "vqvae":
		return vqvaeSubject, nil
	}
	return nil, errors.Errorf("model_type %q cannot be verified, want vit, clip, gpt2, vqvae, dalle or flamingo", kind)
}

// deviation is how far a tensor is from the stored one.
type deviation struct {
	Name     string  `json:"name"`
	Absolute float64 `json:"absolute"` // largest error
	Relative float64 `json:"relative"` // to the largest stored entry
	OK       bool    `json:"ok"`
	Note     string  `json:"note,omitempty"`
}

func newVerify() *cobra.Command {
	var golden string
	var tol float64
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify DIR",
		Short: "Hold a model against results stored beside it",
		Long: `Hold the model in DIR against golden.safetensors there: feed the inputs it
stores and compare outputs, loss and the gradient of every parameter. Where
adamw.json and after_adamw.safetensors lie beside that file, repeat those steps
of AdamW and compare losses, norms and weights.

Errors are relative to the largest stored entry of each tensor. The exit code is
1 where one is above --tol, not a number, or of a tensor that is unknown.`,
		Example: `  tessera verify testdata/vit/tiny
  tessera verify runs/model --golden golden.safetensors --tol 1e-5 --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !(tol > 0) {
				return usagef("--tol is %g, want more than 0", tol)
			}
			if golden == "" {
				golden = filepath.Join(args[0], "golden.safetensors")
			}
			found, err := verify(args[0], golden, tol)
			if err != nil {
				return err
			}
			return reportDeviations(cmd.OutOrStdout(), found, tol, asJSON)
		},
	}
	cmd.Flags().StringVar(&golden, "golden", "", "file of stored results (default DIR/golden.safetensors)")
	cmd.Flags().Float64Var(&tol, "tol", 1e-4, "largest relative error that passes")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array instead of a table")
	return cmd
}

// verify computes what the golden file stores and compares.
func verify(dir, golden string, tol float64) ([]deviation, error) {
	kind, err := modelType(dir)
	if err != nil {
		return nil, err
	}
	open, err := subjects(kind)
	if err != nil {
		return nil, errors.WithMessage(err, dir)
	}
	stored, err := safetensors.Open(golden)
	if err != nil {
		return nil, err
	}
	defer stored.Close()
	s, err := open(dir, stored)
	if err != nil {
		return nil, err
	}
	prog, err := graph.Compile(func(b *graph.Builder) { b.Minimize(s.build(b)) }, s.options)
	if err != nil {
		return nil, err
	}
	defer prog.Close()
	if err := prog.Run(s.batch); err != nil {
		return nil, err
	}
	got := map[string][]float32{}
	for _, name := range prog.Outputs() {
		got[name] = prog.Output(name).Float32s()
	}
	for _, g := range prog.Grads() {
		got["grad."+g.Param.Name] = g.Value.Float32s()
	}
	if s.further != nil {
		if err := s.further(got); err != nil {
			return nil, err
		}
	}
	found, err := compareStored(stored, s.inputs, got, tol)
	if err != nil {
		return nil, err
	}
	steps, err := verifyAdamW(filepath.Dir(golden), s, prog, tol)
	return append(found, steps...), err
}

// compareStored compares every tensor of the file that is no input.
func compareStored(stored *safetensors.File, inputs []string, got map[string][]float32, tol float64) ([]deviation, error) {
	top, err := largestGradient(stored)
	if err != nil {
		return nil, err
	}
	var found []deviation
	for _, name := range stored.Names() {
		if slices.Contains(inputs, name) {
			continue
		}
		have, ok := got[name]
		if !ok {
			found = append(found, deviation{Name: name, Note: "the model computes no such tensor"})
			continue
		}
		want, err := stored.Float64(name)
		if err != nil {
			return nil, err
		}
		least := 0.0
		if strings.HasPrefix(name, "grad.") {
			least = cancelled * top
		}
		found = append(found, compare(name, have, want, least, tol))
	}
	return found, nil
}

// compare measures the error of a tensor relative to its largest stored entry,
// or to least if that is larger.
func compare(name string, have []float32, want []float64, least, tol float64) deviation {
	d := deviation{Name: name}
	if len(have) != len(want) {
		d.Note = fmt.Sprintf("%d elements, stored are %d", len(have), len(want))
		return d
	}
	scale := largest(want)
	if scale < least {
		scale, d.Note = least, "stored entries are rounding error"
	}
	for i, w := range want {
		e := math.Abs(float64(have[i]) - w)
		if math.IsNaN(e) || math.IsInf(e, 0) {
			d.Note = fmt.Sprintf("element %d is %g, stored is %g", i, have[i], w)
			return d
		}
		d.Absolute = max(d.Absolute, e)
	}
	if d.Absolute > 0 {
		d.Relative = d.Absolute / scale
	}
	if math.IsInf(d.Relative, 0) { // encoding/json has no infinity
		d.Relative = math.MaxFloat64
	}
	d.OK = d.Relative <= tol
	return d
}

// largest is the magnitude of the largest entry.
func largest(x []float64) float64 {
	m := 0.0
	for _, v := range x {
		m = max(m, math.Abs(v))
	}
	return m
}

// largestGradient is the largest entry of all stored gradients.
func largestGradient(stored *safetensors.File) (float64, error) {
	top := 0.0
	for _, name := range stored.Names() {
		if !strings.HasPrefix(name, "grad.") {
			continue
		}
		g, err := stored.Float64(name)
		if err != nil {
			return 0, err
		}
		top = max(top, largest(g))
	}
	return top, nil
}

// modelType reads the model_type of a folder's config.json.
func modelType(dir string) (string, error) {
	path := filepath.Join(dir, "config.json")
	text, err := os.ReadFile(path)
	if err != nil {
		return "", errors.WithStack(err)
	}
	var c struct {
		ModelType string `json:"model_type"`
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return "", errors.Wrap(err, path)
	}
	if c.ModelType == "" {
		return "", errors.Errorf("%s has no model_type", path)
	}
	return c.ModelType, nil
}

// reportDeviations prints what was found and returns an error if any of it is
// above tol.
func reportDeviations(w io.Writer, found []deviation, tol float64, asJSON bool) error {
	failed := 0
	for _, d := range found {
		if !d.OK {
			failed++
		}
	}
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		if err := e.Encode(found); err != nil {
			return errors.WithStack(err)
		}
	} else {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "tensor\tabsolute\trelative\t\t")
		for _, d := range found {
			verdict := "ok"
			if !d.OK {
				verdict = "FAIL"
			}
			fmt.Fprintf(t, "%s\t%.2e\t%.2e\t%s\t%s\n", d.Name, d.Absolute, d.Relative, verdict, d.Note)
		}
		if err := t.Flush(); err != nil {
			return errors.WithStack(err)
		}
		fmt.Fprintf(w, "%d of %d within %g\n", len(found)-failed, len(found), tol)
	}
	if failed > 0 {
		return errors.Errorf("%d of %d tensors are off by more than %g", failed, len(found), tol)
	}
	return nil
}
