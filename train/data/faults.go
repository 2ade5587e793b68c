package data

import (
	"strings"

	"github.com/pkg/errors"
)

// faults collects what is wrong with a configuration.
type faults []string

func (f *faults) unless(ok bool, format string, args ...any) {
	if !ok {
		*f = append(*f, errors.Errorf(format, args...).Error())
	}
}

func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return errors.New(strings.Join(f, "; "))
}
