package train

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"time"

	"github.com/pkg/errors"
)

// Record is a line of a metrics file.
type Record struct {
	Step            int                `json:"step"` // done, from 1
	Loss            float64            `json:"loss"`
	LR              float64            `json:"lr"`
	GradNorm        float64            `json:"grad_norm"`
	Metrics         map[string]float64 `json:"metrics,omitempty"` // the finite ones
	ImagesPerSecond float64            `json:"images_per_second"` // since the line before
}

// Log appends records to a file of JSON lines.
type Log struct {
	file  *os.File
	speed speed
}

// OpenLog opens the metrics file at path, creating it if need be, for a run that
// goes on after the given step: later lines, and one cut short by a crash, are
// dropped. clock tells the time for the speed.
func OpenLog(path string, step int, clock func() time.Time) (*Log, error) {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Wrap(err, "metrics")
	}
	records, ends, err := parseMetrics(text)
	if err != nil {
		return nil, errors.Wrapf(err, "metrics %s", path)
	}
	size := 0
	for i, r := range records {
		if r.Step > step {
			break
		}
		size = ends[i]
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return nil, errors.Wrap(err, "metrics")
	}
	if err := f.Truncate(int64(size)); err != nil {
		f.Close()
		return nil, errors.Wrap(err, "metrics")
	}
	return &Log{file: f, speed: newSpeed(clock)}, nil
}

// Hook appends the step.
func (l *Log) Hook(s *Step) error {
	r := Record{
		Step:            s.N,
		Loss:            s.Loss,
		LR:              s.LR,
		GradNorm:        s.GradNorm,
		Metrics:         map[string]float64{},
		ImagesPerSecond: l.speed.since(s),
	}
	for name, v := range s.Metrics {
		if finite(v) { // JSON has no others
			r.Metrics[name] = v
		}
	}
	line, err := json.Marshal(r)
	if err != nil {
		return errors.Wrap(err, "metrics")
	}
	_, err = l.file.Write(append(line, '\n'))
	return errors.Wrap(err, "metrics")
}

// Close closes the file.
func (l *Log) Close() error { return errors.Wrap(l.file.Close(), "metrics") }

// ReadMetrics reads a metrics file. A last line without its end, as a crash
// leaves it, is left out; any other line that is no record is an error.
func ReadMetrics(path string) ([]Record, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, errors.Wrap(err, "metrics")
	}
	records, _, err := parseMetrics(text)
	return records, errors.Wrapf(err, "metrics %s", path)
}

// parseMetrics returns the records and the offset at which the line of each
// ends.
func parseMetrics(text []byte) (records []Record, ends []int, err error) {
	for pos := 0; ; {
		n := bytes.IndexByte(text[pos:], '\n')
		if n < 0 {
			return records, ends, nil
		}
		var r Record
		if err := json.Unmarshal(text[pos:pos+n], &r); err != nil {
			return nil, nil, errors.Wrapf(err, "line %d", len(records)+1)
		}
		if r.Step < 1 {
			return nil, nil, errors.Errorf("line %d: step is %d, want 1 or more", len(records)+1, r.Step)
		}
		pos += n + 1
		records, ends = append(records, r), append(ends, pos)
	}
}

// speed measures examples per second between calls.
type speed struct {
	clock  func() time.Time
	time   time.Time
	images int
	known  bool // images
}

func newSpeed(clock func() time.Time) speed { return speed{clock: clock, time: clock()} }

// since returns the speed since the call before, or since newSpeed.
func (m *speed) since(s *Step) float64 {
	if !m.known {
		m.images, m.known = s.Trainer.first, true
	}
	now := m.clock()
	images, seconds := s.Images-m.images, now.Sub(m.time).Seconds()
	m.time, m.images = now, s.Images
	if seconds <= 0 {
		return 0
	}
	return float64(images) / seconds
}
