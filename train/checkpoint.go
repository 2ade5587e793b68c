package train

import (
	"encoding/json"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"

	"github.com/pkg/errors"

	"tessera/graph/safetensors"
)

// Checkpoints saves what a run needs to go on. A checkpoint is a folder
//
//	step-00000200/  model's own files, written by Save
//	                optim.safetensors, ema.safetensors, trainer.json
//
// that appears whole or not at all, whenever the process dies; a copy named
// best/ holds the checkpoint of the best metric. Nothing in it depends on the
// clock: an interrupted run ends with the same bytes as one that was not.
type Checkpoints struct {
	Dir   string
	Every int                    // steps; the last step is always saved; ≤ 0: only that
	Keep  int                    // newest checkpoints to keep; ≤ 0: all
	Best  string                 // metric of which best/ has the greatest value; "": none
	Save  func(dir string) error // writes config.json, model.safetensors and so on

	tidied bool
}

// Hook saves after the steps that are due. It comes after the hook that
// provides the metric Best, and runs after every step.
func (c *Checkpoints) Hook(s *Step) error {
	if !c.tidied { // what a killed run left
		if err := os.MkdirAll(c.Dir, 0o777); err != nil {
			return errors.Wrap(err, "checkpoint")
		}
		if err := tidy(c.Dir); err != nil {
			return errors.Wrap(err, "checkpoint")
		}
		c.tidied = true
	}
	t := s.Trainer
	if v, ok := s.Metrics[c.Best]; ok && c.Best != "" && finite(v) && (t.best == nil || v > *t.best) {
		previous := t.best
		t.best = &v
		if err := c.save(t, bestName); err != nil {
			t.best = previous
			return err
		}
	}
	if !s.Last && (c.Every < 1 || s.N%c.Every != 0) {
		return nil
	}
	name := stepName(s.N)
	if err := c.save(t, name); err != nil {
		return err
	}
	t.last = filepath.Join(c.Dir, name)
	return errors.Wrap(prune(c.Dir, c.Keep, s.N), "checkpoint")
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// save writes a checkpoint under the given name.
func (c *Checkpoints) save(t *Trainer, name string) error {
	err := replaceFolder(filepath.Join(c.Dir, name), func(dir string) error {
		if c.Save != nil {
			if err := c.Save(dir); err != nil {
				return err
			}
		}
		if err := safetensors.Write(filepath.Join(dir, optimFile), t.Optimizer.State(), nil); err != nil {
			return err
		}
		if t.EMA != nil {
			if err := safetensors.Write(filepath.Join(dir, emaFile), t.EMA.State(), nil); err != nil {
				return err
			}
		}
		return safetensors.WriteAtomic(filepath.Join(dir, trainerFile), func(w io.Writer) error {
			enc := json.NewEncoder(w)
			enc.SetIndent("", "  ")
			return enc.Encode(t.state())
		})
	})
	return errors.Wrapf(err, "checkpoint %s", filepath.Join(c.Dir, name))
}

const (
	optimFile   = "optim.safetensors"
	emaFile     = "ema.safetensors"
	trainerFile = "trainer.json"
)

// state is trainer.json.
type state struct {
	Step       int               `json:"step"` // done
	Seed       uint64            `json:"seed"`
	BatchSize  int               `json:"batch_size"`
	Accumulate int               `json:"accumulate"`
	EMA        bool              `json:"ema"`
	Best       *float64          `json:"best,omitempty"`
	Settings   map[string]string `json:"settings,omitempty"`
}

func (t *Trainer) state() state {
	return state{
		Step:       t.done,
		Seed:       t.Seed,
		BatchSize:  t.BatchSize,
		Accumulate: t.micros(),
		EMA:        t.EMA != nil,
		Best:       t.best,
		Settings:   t.Settings,
	}
}

// agrees names the first setting in which a saved run and t differ.
func (t *Trainer) agrees(saved state) error {
	now := t.state()
	for _, f := range []struct {
		name       string
		saved, now any
	}{
		{"seed", saved.Seed, now.Seed},
		{"batch size", saved.BatchSize, now.BatchSize},
		{"accumulate", saved.Accumulate, now.Accumulate},
		{"moving average", saved.EMA, now.EMA},
	} {
		if f.saved != f.now {
			return errors.Errorf("%s is %v, but %v in the checkpoint", f.name, f.now, f.saved)
		}
	}
	all := maps.Clone(saved.Settings)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, now.Settings)
	for _, key := range sortedKeys(all) {
		a, inSaved := saved.Settings[key]
		b, inNow := now.Settings[key]
		if a != b || inSaved != inNow {
			return errors.Errorf("setting %s is %q, but %q in the checkpoint", key, b, a)
		}
	}
	return nil
}

// Resume takes up the run saved in the checkpoint folder at path: its step,
// optimizer, averages and best metric. The model must have been loaded from
// there. Seed, batch size, Accumulate and Settings must be those of the
// checkpoint. After an error t is not fit to run.
func (t *Trainer) Resume(path string) error {
	return errors.Wrapf(t.resume(path), "resume from %s", path)
}

func (t *Trainer) resume(path string) error {
	if t.Model == nil || t.Optimizer == nil {
		return errors.New("Model and Optimizer must be set")
	}
	text, err := os.ReadFile(filepath.Join(path, trainerFile))
	if err != nil {
		return err
	}
	var saved state
	if err := json.Unmarshal(text, &saved); err != nil {
		return errors.Wrap(err, trainerFile)
	}
	if saved.Step < 0 {
		return errors.Errorf("%s: step is %d, want 0 or more", trainerFile, saved.Step)
	}
	if err := t.agrees(saved); err != nil {
		return err
	}
	restore := func(name string, from func(*safetensors.File) error) error {
		f, err := safetensors.Open(filepath.Join(path, name))
		if err != nil {
			return err
		}
		defer f.Close()
		return errors.Wrap(from(f), name)
	}
	if err := restore(optimFile, func(f *safetensors.File) error {
		return t.Optimizer.Restore(f, t.Model.Params())
	}); err != nil {
		return err
	}
	if t.EMA != nil {
		if err := restore(emaFile, func(f *safetensors.File) error {
			return t.EMA.Restore(f, t.Model.Params())
		}); err != nil {
			return err
		}
	}
	t.done, t.best, t.last = saved.Step, saved.Best, path
	return nil
}
