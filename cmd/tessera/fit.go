package main

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/pkg/errors"
	"github.com/spf13/pflag"

	"tessera/train"
)

// lastCheckpoint is the one in the folder out from which a run goes on.
func lastCheckpoint(out string) (string, error) {
	dir := filepath.Join(out, "checkpoints")
	checkpoint, ok, err := train.Latest(dir)
	if err != nil {
		return "", err
	}
	if !ok {
		return "", errors.Errorf("there is no checkpoint in %s to resume from: remove the folder and start anew without --resume", dir)
	}
	return checkpoint, nil
}

// goOn finds the last checkpoint in the folder out and gives flags the values
// of its run.
func goOn(f *pflag.FlagSet, out string) (checkpoint string, err error) {
	if checkpoint, err = lastCheckpoint(out); err != nil {
		return "", err
	}
	return checkpoint, takeUp(f, checkpoint)
}

// wantEmpty rejects a folder for a new run that holds something.
func wantEmpty(out string) error {
	entries, err := os.ReadDir(out)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Wrapf(err, "--out %s", out)
	}
	if len(entries) > 0 {
		return errors.Errorf("--out %s is not empty: choose another folder, or go on with the run in it with --resume", out)
	}
	return nil
}

// runLogged trains, from a checkpoint unless it is "", and leaves the log of the
// whole run and, with a title, its curves in the folder out. A dry run is only
// tried and told.
func runLogged(ctx context.Context, t *train.Trainer, checkpoint, out, title string, clock func() time.Time, hooks func(*train.Log) []train.Hook) error {
	if checkpoint != "" {
		if err := t.Resume(checkpoint); err != nil {
			return err
		}
	}
	if w := dryRun(ctx); w != nil {
		return rehearse(ctx, t, w, clock)
	}
	if err := os.MkdirAll(out, 0o777); err != nil {
		return errors.Wrapf(err, "--out %s", out)
	}
	log := filepath.Join(out, "metrics.jsonl")
	lines, err := train.OpenLog(log, t.Done(), clock)
	if err != nil {
		return err
	}
	defer lines.Close()
	t.Hooks = hooks(lines)
	if err := t.Run(ctx); err != nil {
		return err
	}
	if err := lines.Close(); err != nil {
		return err
	}
	records, err := train.ReadMetrics(log)
	if err != nil || len(records) == 0 { // none: all steps were done before
		return err
	}
	return train.PlotCurves(filepath.Join(out, "curves.svg"), title, records)
}

// interrupted says how to go on where the error is that a run was stopped.
func interrupted(err error, t *train.Trainer, command, out string) error {
	if errors.Is(err, context.Canceled) && t.Done() > 0 {
		return errors.Errorf("interrupted after step %d: go on with %s --out %s --resume", t.Done(), command, out)
	}
	return err
}
