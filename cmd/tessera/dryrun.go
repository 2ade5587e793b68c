package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"

	"tessera/train"
)

// errDryRun ends a command that has told what it would do. It is no failure.
var errDryRun = errors.New("dry run")

// dryRunKey is the place of a dry run's output in a context.
type dryRunKey struct{}

// addDryRun gives the commands that train, which are those that can go on with
// a run, the flag --dry-run.
func addDryRun(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		addDryRun(c)
	}
	if cmd.Flags().Lookup("resume") == nil || cmd.Hidden {
		return
	}
	dry := cmd.Flags().Bool("dry-run", false, "print shapes, parameters, memory, operations and the time it would take by three measured steps, and write nothing")
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *dry {
			cmd.SetContext(context.WithValue(cmd.Context(), dryRunKey{}, cmd.OutOrStdout()))
		}
		err := run(cmd, args)
		if errors.Is(err, errDryRun) {
			return nil
		}
		return err
	}
}

// dryRun returns where to tell what a run would do, or nil for one in earnest.
func dryRun(ctx context.Context) io.Writer {
	w, _ := ctx.Value(dryRunKey{}).(io.Writer)
	return w
}

// measuredSteps follow one that also compiles the graph.
const measuredSteps = 3

// rehearse does the first steps of a run, tells what the whole would take, and
// returns errDryRun.
func rehearse(ctx context.Context, t *train.Trainer, w io.Writer, clock func() time.Time) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for m, err := range t.Data(t.Done()) {
		if err != nil {
			return err
		}
		fmt.Fprintln(table, "input\tshape\t")
		names := make([]string, 0, len(m.Batch))
		for name := range m.Batch {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			fmt.Fprintf(table, "%s\t%s\t\n", name, times(m.Batch[name].Shape()))
		}
		break
	}
	fmt.Fprintln(table, "\t\t\nparameter\tshape\telements")
	size, trained := 0, 0
	for p := range t.Model.Params().All() {
		n, note := p.Value.Shape().TotalSize(), ""
		size += n
		if p.Frozen {
			note = "\tfrozen"
		} else {
			trained += n
		}
		fmt.Fprintf(table, "%s\t%s\t%s%s\n", p.Name, times(p.Value.Shape()), thousands(n), note)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	left := t.Steps - t.Done()
	if left < 1 {
		fmt.Fprintln(w, "\nThe run is complete: there are no steps left.")
		return errDryRun
	}
	var ends []time.Time
	t.Hooks = []train.Hook{func(*train.Step) error {
		if ends = append(ends, clock()); len(ends) > measuredSteps {
			return train.ErrStop
		}
		return nil
	}}
	start := clock()
	if err := t.Run(ctx); err != nil {
		return err
	}
	var took []time.Duration
	for i, end := range ends[1:] {
		took = append(took, end.Sub(ends[i]))
	}
	if len(took) == 0 { // a run of one step
		took = append(took, ends[0].Sub(start))
	}
	slices.Sort(took)
	step := took[len(took)/2]
	usage := t.Usage()
	examples := max(t.Accumulate, 1) * t.BatchSize
	fmt.Fprintln(w)
	fmt.Fprintf(table, "parameters\t%s, of which %s are trained\n", thousands(size), thousands(trained))
	// Weights, gradients and two moments.
	fmt.Fprintf(table, "memory\t%s: weights %s, optimizer %s, results and gradients of a batch %s\n",
		bytesOf(4*int64(size)+8*int64(trained)+usage.Buffers), bytesOf(4*int64(size)), bytesOf(8*int64(trained)), bytesOf(usage.Buffers))
	fmt.Fprintf(table, "operations\t%.3g GFLOP forward for a batch of %d, about three times that with gradients\n", float64(usage.FLOPs)/1e9, t.BatchSize)
	fmt.Fprintf(table, "a step\t%.4g ms, the median of %d, %.1f examples/s\n", 1e3*step.Seconds(), len(took), float64(examples)/step.Seconds())
	fmt.Fprintf(table, "all\t%s steps of %d examples: about %s, without validation and checkpoints\n",
		thousands(left), examples, (time.Duration(left) * step).Round(time.Second))
	if err := table.Flush(); err != nil {
		return err
	}
	return errDryRun
}

// times writes a shape as (2×3).
func times(shape []int) string {
	return "(" + strings.ReplaceAll(strings.Trim(fmt.Sprint(shape), "[]()"), " ", "×") + ")"
}

// bytesOf writes a number of bytes for people.
func bytesOf(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f kB", float64(n)/1e3)
}
