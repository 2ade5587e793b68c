package train

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pkg/errors"
	"github.com/schollz/progressbar/v3"
)

// redraw and report are how often progress is shown on a terminal and in a log.
const (
	redraw = 200 * time.Millisecond
	report = 10 * time.Second
)

// Progress shows how a run goes on w: as a bar with the time left if w is a
// terminal, else as a line every ten seconds. The first and the last step are
// always shown.
func Progress(w io.Writer, terminal bool, clock func() time.Time) Hook {
	var (
		bar   *progressbar.ProgressBar
		sp    = newSpeed(clock)
		shown time.Time
		every = report
		show  = func(s *Step, text string) error {
			_, err := fmt.Fprintln(w, text)
			return err
		}
	)
	if terminal {
		every = redraw
		show = func(s *Step, text string) error {
			first := s.Trainer.first / max(s.Trainer.micros()*s.Trainer.BatchSize, 1)
			if bar == nil { // it counts the steps of this run, for the time left
				bar = progressbar.NewOptions(s.Trainer.Steps-first,
					progressbar.OptionSetWriter(w),
					progressbar.OptionSetWidth(20),
					progressbar.OptionSetPredictTime(true))
			}
			bar.Describe(text)
			if err := bar.Set(s.N - first); err != nil {
				return err
			}
			if s.Last {
				_, err := fmt.Fprintln(w)
				return err
			}
			return nil
		}
	}
	return func(s *Step) error {
		now := clock()
		if !shown.IsZero() && now.Sub(shown) < every && !s.Last {
			return nil
		}
		shown = now
		return errors.Wrap(show(s, describe(s, sp.since(s))), "progress")
	}
}

// describe puts a step into a line.
func describe(s *Step, perSecond float64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "step %d/%d  loss %.4f", s.N, s.Trainer.Steps, s.Loss)
	for _, name := range sortedKeys(s.Metrics) {
		fmt.Fprintf(&b, "  %s %.4f", name, s.Metrics[name])
	}
	fmt.Fprintf(&b, "  lr %.2e  %.1f images/s", s.LR, perSecond)
	return b.String()
}
