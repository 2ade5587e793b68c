package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"

	"github.com/pkg/errors"

	"tessera/train"
	"tessera/train/data"
)

// bestOf is the metric by which the best checkpoint is chosen.
func bestOf(c captions) string {
	if c.own != nil {
		return "recall"
	}
	return "accuracy"
}

// validate measures the present weights by the validation part. Recall is that at
// 1, the mean of both ways.
func (r *clipRun) validate(ctx context.Context) (result train.Result, err error) {
	// One that has seen other weights would use those.
	e := newEmbedder(r.Model, r.embed.Input, r.tokens, r.log)
	defer e.Close()
	m, err := e.measure(ctx, r.parts.val, r.texts.on(r.parts.val), r.batch, r.workers, quiet)
	if err != nil {
		return result, err
	}
	result = train.Result{Count: m.Images, Metrics: map[string]float64{}}
	if m.Classes > 0 {
		result.Metrics["accuracy"] = m.accuracy()
	}
	if m.ToText != nil {
		result.Metrics["recall"] = (m.ToText.rate(m.ToText.At1) + m.ToImage.rate(m.ToImage.At1)) / 2
	}
	return result, nil
}

// quiet is no progress.
func quiet(int) error { return nil }

// heldOut names the part of combinations that are never seen in training.
const heldOut = "held-out"

// combinations lists pairs with the share of their images classified right, and what
// the others were mostly taken for.
func combinations(scores []classScore, pairs []data.Pair) string {
	var list []string
	for _, p := range pairs {
		for _, s := range scores {
			if s.Label != p.String() {
				continue
			}
			text := fmt.Sprintf("%s %.1f %%", s.Label, 100*s.Accuracy)
			if s.Taken > 0 {
				text += fmt.Sprintf(" (else mostly %s)", s.TakenFor)
			}
			list = append(list, text)
		}
	}
	return strings.Join(list, ", ")
}

// finish saves, evaluates and reports the model.
func (r *clipRun) finish(ctx context.Context, w io.Writer) error {
	if err := r.save(r.out); err != nil {
		return err
	}
	var report strings.Builder
	t := tabwriter.NewWriter(&report, 0, 0, 2, ' ', 0)
	for _, part := range []struct {
		name string
		data data.Dataset
	}{{"validation", r.parts.val}, {"test", r.parts.test}, {heldOut, r.held}} {
		if part.data == nil {
			continue
		}
		m, err := r.measure(ctx, part.data, r.texts.on(part.data), r.batch, r.workers, quiet)
		if err != nil {
			return errors.Wrap(err, part.name)
		}
		m.print(t, part.name)
		if part.name == heldOut {
			fmt.Fprintf(t, "never seen in training\t%s\n", combinations(m.ByClass, r.heldAs))
		}
	}
	fmt.Fprintf(t, "logit scale\t%.2f\n", math.Exp(float64(r.LogitScale.Float32s()[0])))
	fmt.Fprintf(t, "parameters\t%s\n", thousands(r.Params().Size()))
	r.fit.tell(t)
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, report.String())
	return err
}
