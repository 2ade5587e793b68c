package train

import (
	"bytes"
	"context"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// ticking is a clock that goes on by d at every look.
func ticking(d time.Duration) func() time.Time {
	now := time.Unix(0, 0)
	return func() time.Time { now = now.Add(d); return now }
}

func TestLogResumes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	run := func(from, to int) {
		t.Helper()
		log, err := OpenLog(path, from, ticking(2*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		tr := newTrainer(newLinear(0), to)
		tr.done = from
		tr.Hooks = []Hook{log.Hook}
		if err := tr.Run(context.Background()); err != nil {
			t.Fatal(err)
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
	}
	steps := func() (ns []int) {
		t.Helper()
		records, err := ReadMetrics(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			if r.ImagesPerSecond != 2 || r.LR != 0.01 || r.GradNorm <= 0 || r.Loss <= 0 || r.Metrics["mean_y"] == 0 {
				t.Errorf("record %+v", r)
			}
			ns = append(ns, r.Step)
		}
		return ns
	}
	for _, tt := range []struct {
		from, to int
		want     []int
	}{
		{0, 5, []int{1, 2, 3, 4, 5}},
		{3, 4, []int{1, 2, 3, 4}},
		{4, 6, []int{1, 2, 3, 4, 5, 6}},
		{0, 1, []int{1}},
	} {
		run(tt.from, tt.to)
		if got := steps(); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("run from %d to %d leaves %v, want %v", tt.from, tt.to, got, tt.want)
		}
		// A crash cuts the last line short.
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(`{"step":`); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
}

func TestLogLeavesOutWhatIsNotFinite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	log, err := OpenLog(path, 0, ticking(0))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	s := &Step{N: 1, Metrics: map[string]float64{"a": math.NaN(), "b": 2, "c": math.Inf(1)}, Trainer: &Trainer{}}
	if err := log.Hook(s); err != nil {
		t.Fatal(err)
	}
	records, err := ReadMetrics(path)
	if want := []Record{{Step: 1, Metrics: map[string]float64{"b": 2}}}; err != nil || !reflect.DeepEqual(records, want) {
		t.Errorf("%v, %v, want %v", records, err, want)
	}
}

func TestOpenLogKeepsForeignFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes.txt")
	text := []byte("{\"step\":1}\nimportant\n")
	if err := os.WriteFile(path, text, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenLog(path, 0, ticking(0)); err == nil || !strings.Contains(err.Error(), "notes.txt: line 2") {
		t.Errorf("OpenLog: %v", err)
	}
	if got, _ := os.ReadFile(path); !bytes.Equal(got, text) {
		t.Errorf("the file now holds %q", got)
	}
}

func FuzzParseMetrics(f *testing.F) {
	f.Add([]byte("{\"step\":1,\"loss\":0.5}\n{\"step\":2}\n{\"st"))
	f.Add([]byte("\n"))
	f.Add([]byte("{\"step\":0}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		records, ends, err := parseMetrics(text)
		if err != nil {
			return
		}
		if n := bytes.Count(text, []byte("\n")); len(records) != n || len(ends) != n {
			t.Errorf("%d records and %d ends of %d lines", len(records), len(ends), n)
		}
		for i, end := range ends {
			if text[end-1] != '\n' || records[i].Step < 1 {
				t.Errorf("record %+v ends at %d", records[i], end)
			}
		}
	})
}

func TestProgressLines(t *testing.T) {
	var out bytes.Buffer
	tr := newTrainer(newLinear(0), 12)
	tr.Hooks = []Hook{Progress(&out, false, ticking(time.Second))}
	if err := tr.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) < 3 || len(lines) > 4 || !strings.HasPrefix(lines[0], "step 1/12  loss ") || !strings.HasPrefix(lines[len(lines)-1], "step 12/12 ") {
		t.Errorf("%q", lines)
	}
	for _, want := range []string{"mean_y", "lr 1.00e-02", "images/s"} {
		if !strings.Contains(lines[0], want) {
			t.Errorf("%q does not mention %q", lines[0], want)
		}
	}
}

func TestProgressBar(t *testing.T) {
	var out bytes.Buffer
	tr := newTrainer(newLinear(0), 6)
	tr.done = 2
	tr.Hooks = []Hook{Progress(&out, true, ticking(time.Second))}
	if err := tr.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"step 3/6", "25%", "step 6/6", "100%", "images/s"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in %q", want, out.String())
		}
	}
	if !strings.HasSuffix(out.String(), "\n") {
		t.Error("the bar leaves the cursor in its line")
	}
}
