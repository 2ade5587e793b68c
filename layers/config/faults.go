package config

import (
	"fmt"
	"strings"

	"github.com/pkg/errors"

	"tessera/graph/op"
)

// Faults collects what is wrong with a configuration, to report all of it at
// once. The zero value has none.
type Faults []string

// Largest bounds sizes, and keeps products of two from overflow.
const Largest = 1 << 20

// If adds a fault where bad is true.
func (f *Faults) If(bad bool, format string, args ...any) {
	if bad {
		*f = append(*f, fmt.Sprintf(format, args...))
	}
}

// Size wants a number of layers, units, tokens or pixels from least to most.
func (f *Faults) Size(key string, n, least, most int) {
	f.If(n < least || n > most, "%s is %d, want %d to %d", key, n, least, most)
}

// Probability wants 0 ≤ p < 1: at 1 nothing would be left to train.
func (f *Faults) Probability(key string, p float64) {
	f.If(!(p >= 0 && p < 1), "%s is %g, want 0 ≤ p < 1", key, p)
}

// Activation wants the name of an activation.
func (f *Faults) Activation(key, name string) {
	_, err := op.ParseActivation(name)
	f.If(err != nil, "%s: %v", key, err)
}

// Under adds the faults of a part of the configuration.
func (f *Faults) Under(part string, faults Faults) {
	for _, s := range faults {
		*f = append(*f, part+": "+s)
	}
}

// Err joins the faults of a model's configuration, nil if there are none.
func (f Faults) Err(model string) error {
	if len(f) == 0 {
		return nil
	}
	return errors.Errorf("%s: %s", model, strings.Join(f, "; "))
}
