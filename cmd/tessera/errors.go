package main

import (
	"strings"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Exit codes of the command.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// usageError marks an error of the one who calls, as opposed to a failure.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// usagef returns an error that ends the command with exitUsage.
func usagef(format string, args ...any) error {
	return usageError{errors.Errorf(format, args...)}
}

// exitCode is the code that an error ends the command with.
func exitCode(err error) int {
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		return exitUsage
	case strings.HasPrefix(err.Error(), "required flag(s)"):
		// Cobra checks these itself and gives the error no type.
		return exitUsage
	}
	return exitFailed
}

// unknown is the error for a name that is none of those known, with the nearest
// one as a suggestion where there is one.
func unknown(what, name string, known []string) error {
	if s := nearest(name, known); s != "" {
		return usagef("unknown %s %q: did you mean %q? (known: %s)", what, name, s, strings.Join(known, ", "))
	}
	return usagef("unknown %s %q, want one of %s", what, name, strings.Join(known, ", "))
}

// flagError turns an error of the flag parser into one that says what to do.
func flagError(cmd *cobra.Command, err error) error {
	var missing *pflag.NotExistError
	if errors.As(err, &missing) {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		name := missing.GetSpecifiedName()
		if s := nearest(name, names); s != "" && len(name) > 1 {
			return usagef("%s: unknown flag --%s: did you mean --%s?", cmd.CommandPath(), name, s)
		}
		return usagef("%s: %v: see %s --help", cmd.CommandPath(), err, cmd.CommandPath())
	}
	return usageError{errors.Wrap(err, cmd.CommandPath())}
}

// nearest returns the known name that takes the fewest edits to reach, or
// nothing where all are far.
func nearest(name string, known []string) string {
	best, fewest := "", max(2, len(name)/3)+1
	for _, k := range known {
		if d := edits(strings.ToLower(name), strings.ToLower(k)); d < fewest {
			best, fewest = k, d
		}
	}
	return best
}

// edits is the Levenshtein distance of two strings in bytes.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
