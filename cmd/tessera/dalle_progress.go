package main

import (
	"fmt"
	"io"
	"time"

	"github.com/pkg/errors"
	"github.com/schollz/progressbar/v3"
)

// counting shows on w how much of a task is done: as a bar with the time left if
// w is a terminal, else as a line every ten seconds.
func counting(w io.Writer, what string, total int, clock func() time.Time) func(done int) error {
	if isTerminal(w) {
		bar := progressbar.NewOptions(total,
			progressbar.OptionSetWriter(w),
			progressbar.OptionSetWidth(20),
			progressbar.OptionSetDescription(what),
			progressbar.OptionThrottle(200*time.Millisecond),
			progressbar.OptionSetPredictTime(true))
		return func(done int) error {
			if err := bar.Set(done); err != nil || done < total {
				return errors.Wrap(err, "progress")
			}
			_, err := fmt.Fprintln(w)
			return errors.Wrap(err, "progress")
		}
	}
	shown := clock()
	return func(done int) error {
		if now := clock(); now.Sub(shown) >= 10*time.Second {
			shown = now
			_, err := fmt.Fprintf(w, "%s  %d/%d\n", what, done, total)
			return errors.Wrap(err, "progress")
		}
		return nil
	}
}
