package train

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pkg/errors"

	"tessera/graph"
	"tessera/train/optim"
)

// thorough is a trainer with everything that a checkpoint must hold.
func thorough(m *linear, dir string, steps int) *Trainer {
	tr := newTrainer(m, steps)
	tr.Accumulate = 2
	tr.ClipNorm = 0.5
	tr.EMA = &optim.EMA{Decay: 0.9}
	tr.Schedule = WarmupCosine(0.05, 3, 20)
	tr.Settings = map[string]string{"model": "linear"}
	ckpt := &Checkpoints{Dir: dir, Every: 4, Keep: 2, Best: "val_score", Save: m.save}
	tr.Hooks = []Hook{
		Every(3, Validate(func() (Result, error) {
			r, err := Evaluate(context.Background(), Objective(m), epoch(5, 4), 4)
			return Result{Metrics: map[string]float64{"score": -r.Metrics["loss"]}}, err
		})),
		ckpt.Hook,
	}
	return tr
}

func TestResumeGivesTheSameBytes(t *testing.T) {
	whole := t.TempDir()
	if err := thorough(newLinear(0.2), whole, 12).Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, stop := range []int{1, 4, 5, 9, 11} {
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(context.Background())
		tr := thorough(newLinear(0.2), dir, 12)
		tr.After = func(*graph.Params) {
			if tr.Done() == stop-1 {
				cancel()
			}
		}
		if err := tr.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("Run: %v", err)
		}
		path, ok, err := Latest(dir)
		if err != nil || !ok || path != filepath.Join(dir, stepName(stop)) {
			t.Fatalf("Latest = %q, %v, %v after step %d", path, ok, err, stop)
		}
		m := newLinear(0.2)
		m.load(t, path)
		tr = thorough(m, dir, 12)
		if err := tr.Resume(path); err != nil {
			t.Fatal(err)
		}
		if tr.Done() != stop {
			t.Fatalf("resumed after step %d, want %d", tr.Done(), stop)
		}
		if err := tr.Run(context.Background()); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{stepName(12), bestName} {
			want, got := digests(t, filepath.Join(whole, name)), digests(t, filepath.Join(dir, name))
			if len(want) != 4 || !maps.Equal(want, got) {
				t.Errorf("stopped after step %d, %s holds %v, want %v", stop, name, got, want)
			}
		}
	}
}

func TestResumeRejects(t *testing.T) {
	dir := t.TempDir()
	if err := thorough(newLinear(0), dir, 4).Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	good := filepath.Join(dir, stepName(4))
	write := func(name, text string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	remove := func(name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, tt := range []struct {
		name  string
		edit  func(*Trainer)
		spoil func(*testing.T, string)
		want  string
	}{
		{"another seed", func(tr *Trainer) { tr.Seed = 4 }, nil, "seed is 4, but 3"},
		{"another batch size", func(tr *Trainer) { tr.BatchSize = 5 }, nil, "batch size is 5, but 4"},
		{"another accumulation", func(tr *Trainer) { tr.Accumulate = 0 }, nil, "accumulate is 1, but 2"},
		{"no moving average", func(tr *Trainer) { tr.EMA = nil }, nil, "moving average is false, but true"},
		{"another setting", func(tr *Trainer) { tr.Settings = map[string]string{"model": "vit"} }, nil, `setting model is "vit", but "linear"`},
		{"no settings", func(tr *Trainer) { tr.Settings = nil }, nil, "setting model"},
		{"a further setting", func(tr *Trainer) { tr.Settings["mix"] = "" }, nil, "setting mix"},
		{"no trainer.json", nil, remove(trainerFile), trainerFile},
		{"trainer.json cut short", nil, write(trainerFile, `{"step":`), trainerFile},
		{"a negative step", nil, write(trainerFile, `{"step":-1}`), "step is -1"},
		{"no optimizer", nil, remove(optimFile), optimFile},
		{"a broken optimizer", nil, write(optimFile, "x"), optimFile},
		{"no averages", nil, remove(emaFile), emaFile},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "copy")
			if err := os.CopyFS(path, os.DirFS(good)); err != nil {
				t.Fatal(err)
			}
			if tt.spoil != nil {
				tt.spoil(t, path)
			}
			tr := thorough(newLinear(0), dir, 8)
			if tt.edit != nil {
				tt.edit(tr)
			}
			if err := tr.Resume(path); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("Resume: %v, want %q", err, tt.want)
			}
		})
	}
}

// list names what is in a folder.
func list(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestCheckpointsKeep(t *testing.T) {
	for _, tt := range []struct {
		name        string
		every, keep int
		want        []string
	}{
		{"the newest two", 2, 2, []string{"step-00000006", "step-00000007"}},
		{"all", 3, 0, []string{"step-00000003", "step-00000006", "step-00000007"}},
		{"only the last step", 0, 5, []string{"step-00000007"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "runs", "a") // is made
			m := newLinear(0)
			tr := newTrainer(m, 7)
			tr.Hooks = []Hook{(&Checkpoints{Dir: dir, Every: tt.every, Keep: tt.keep, Save: m.save}).Hook}
			if err := tr.Run(context.Background()); err != nil {
				t.Fatal(err)
			}
			if got := list(t, dir); !slices.Equal(got, tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

func TestCheckpointsBest(t *testing.T) {
	dir := t.TempDir()
	m := newLinear(0)
	tr := newTrainer(m, 5)
	scores := []float64{0.1, 0.7, 0.7, 0.3, 0.6}
	tr.Hooks = []Hook{
		func(s *Step) error { s.Metrics["score"] = scores[s.N-1]; return nil },
		(&Checkpoints{Dir: dir, Every: 1, Best: "score", Save: m.save}).Hook,
	}
	if err := tr.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	// Nothing but the first of equals: step 2, where the best is known to be 0.7.
	want, got := digests(t, filepath.Join(dir, stepName(2))), digests(t, filepath.Join(dir, bestName))
	if len(got) != 3 || !maps.Equal(got, want) {
		t.Errorf("best holds %v, want %v", got, want)
	}
}

func TestCheckpointsAreWholeOrAbsent(t *testing.T) {
	dir := t.TempDir()
	m := newLinear(0)
	tr := newTrainer(m, 2)
	boom := errors.New("disk full")
	fail := false
	ckpt := &Checkpoints{Dir: dir, Every: 1, Best: "score", Save: func(d string) error {
		if err := m.save(d); err != nil {
			return err
		}
		if fail {
			return boom
		}
		return nil
	}}
	tr.Hooks = []Hook{func(s *Step) error { s.Metrics["score"] = float64(s.N); return nil }, ckpt.Hook,
		func(s *Step) error { fail = true; return nil }}
	if err := tr.Run(context.Background()); !errors.Is(err, boom) {
		t.Fatalf("Run: %v, want %v", err, boom)
	}
	if got, want := list(t, dir), []string{bestName, stepName(1)}; !slices.Equal(got, want) {
		t.Errorf("after a failure there are %v, want %v", got, want)
	}
	if !maps.Equal(digests(t, filepath.Join(dir, bestName)), digests(t, filepath.Join(dir, stepName(1)))) {
		t.Error("best is not that of step 1")
	}
	if *tr.best != 1 {
		t.Errorf("best metric is %g, want that of the saved one, 1", *tr.best)
	}
}

func TestReplaceFolderReplacesAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), bestName)
	for _, name := range []string{"a", "b"} {
		if err := replaceFolder(path, func(dir string) error {
			return os.WriteFile(filepath.Join(dir, name), nil, 0o666)
		}); err != nil {
			t.Fatal(err)
		}
		if got := list(t, path); !slices.Equal(got, []string{name}) {
			t.Errorf("the folder holds %v, want %q alone", got, name)
		}
	}
	if got := list(t, filepath.Dir(path)); !slices.Equal(got, []string{bestName}) {
		t.Errorf("beside it are left %v", got)
	}
}

func TestTidy(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		".tmp-step-00000004/part",                     // killed while writing
		".old-best/kept",                              // killed between the renames
		".old-step-00000002/old", "step-00000002/new", // killed after them
		".tmp-mine/x", "notes/y", // of others
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := tidy(dir); err != nil {
		t.Fatal(err)
	}
	if got, want := list(t, dir), []string{".tmp-mine", "best", "notes", "step-00000002"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := list(t, filepath.Join(dir, "step-00000002")); !slices.Equal(got, []string{"new"}) {
		t.Errorf("step 2 holds %v, want the new file", got)
	}
	if got := list(t, filepath.Join(dir, "best")); !slices.Equal(got, []string{"kept"}) {
		t.Errorf("best holds %v, want the old file", got)
	}
}

func TestLatest(t *testing.T) {
	dir := t.TempDir()
	if _, ok, err := Latest(filepath.Join(dir, "none")); ok || err != nil {
		t.Errorf("no folder: %v, %v", ok, err)
	}
	if _, ok, err := Latest(dir); ok || err != nil {
		t.Errorf("empty folder: %v, %v", ok, err)
	}
	for _, name := range []string{"step-00000009", "step-00000010", ".tmp-step-00000011", "step-12", "best"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, trainerFile), []byte("{}"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "step-00000013"), 0o777); err != nil { // not ours: empty
		t.Fatal(err)
	}
	if path, ok, err := Latest(dir); path != filepath.Join(dir, "step-00000010") || !ok || err != nil {
		t.Errorf("Latest = %q, %v, %v", path, ok, err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Latest(file); err == nil {
		t.Error("a file in place of the folder is no error")
	}
}
