package data

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pkg/errors"
)

// maxShards bounds what a pattern may expand to.
const maxShards = 100_000

// ExpandBraces lists the strings that a pattern stands for, as a shell would:
// "{a,b}.tar" and "{08..11}.tar", whose numbers keep the width of the first if
// it begins with a zero. Several braces give all combinations, the last
// changing fastest; braces within braces are an error, as are more than 100,000
// results.
func ExpandBraces(pattern string) ([]string, error) {
	out := []string{""}
	rest := pattern
	for rest != "" {
		before, after, found := strings.Cut(rest, "{")
		if strings.Contains(before, "}") {
			return nil, errors.Errorf("%q: there is a } without its {", pattern)
		}
		words := []string{""}
		rest = ""
		if found {
			inside, tail, closed := strings.Cut(after, "}")
			if !closed || strings.Contains(inside, "{") {
				return nil, errors.Errorf("%q: a { is not closed, or holds another", pattern)
			}
			var err error
			if words, err = alternatives(inside); err != nil {
				return nil, errors.WithMessagef(err, "%q", pattern)
			}
			rest = tail
		}
		if len(out)*len(words) > maxShards {
			return nil, errors.Errorf("%q stands for more than %d files", pattern, maxShards)
		}
		next := make([]string, 0, len(out)*len(words))
		for _, o := range out {
			for _, w := range words {
				next = append(next, o+before+w)
			}
		}
		out = next
	}
	return out, nil
}

// alternatives are the words of what is between two braces.
func alternatives(inside string) ([]string, error) {
	first, last, ok := strings.Cut(inside, "..")
	if !ok {
		return strings.Split(inside, ","), nil
	}
	from, err := strconv.ParseUint(first, 10, 32)
	if err != nil {
		return nil, errors.Errorf("{%s}: %q is no whole number", inside, first)
	}
	to, err := strconv.ParseUint(last, 10, 32)
	if err != nil {
		return nil, errors.Errorf("{%s}: %q is no whole number", inside, last)
	}
	if to < from || to-from >= maxShards {
		return nil, errors.Errorf("{%s}: want rising numbers, at most %d", inside, maxShards)
	}
	width := 0
	if strings.HasPrefix(first, "0") {
		width = len(first)
	}
	var words []string
	for n := from; n <= to; n++ {
		words = append(words, fmt.Sprintf("%0*d", width, n))
	}
	return words, nil
}
