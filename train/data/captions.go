package data

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pkg/errors"
)

// Captioned is a data set whose examples have captions of their own.
type Captioned interface {
	Dataset
	// Captions are those of example i, one or more.
	Captions(i int) []string
}

// Captions returns the one caption of example i.
func (s Shapes) Captions(i int) []string { return []string{s.Spec(i).Caption()} }

// Captions is a data set of stored images, each with one or more captions. It
// has no classes: labels are −1.
type Captions struct {
	MaxPixels int // limit on an image's area; ≤ 0: DefaultMaxPixels

	items []captioned
}

// captioned is an image, all of a file or a part, and what is said of it.
type captioned struct {
	name     string // for messages: the path, or that of the archive and the member
	path     string
	at, size int64 // bytes of the file; size 0: all
	texts    []string
}

func (c *Captions) Len() int                { return len(c.items) }
func (c *Captions) Classes() []string       { return nil }
func (c *Captions) Captions(i int) []string { return c.items[i].texts }

// Example reads and decodes an image. Its caption is the first.
func (c *Captions) Example(i int) (Example, error) {
	x := c.items[i]
	ex := Example{Label: -1, Caption: x.texts[0], Name: x.name}
	f, err := os.Open(x.path)
	if err != nil {
		return ex, errors.Wrap(err, "data")
	}
	defer f.Close()
	r := io.Reader(f)
	if x.size > 0 {
		r = io.NewSectionReader(f, x.at, x.size)
	}
	ex.Image, err = decode(r, c.MaxPixels)
	return ex, errors.Wrapf(err, "data: %s", x.name)
}

// Split deals out the given fraction of the images, 0 to 1 and rounded to whole
// ones, to val and the rest to train. Images go by the hashes of their names,
// so that the parts are the same on every machine with the same folders. Of two
// or more neither part goes empty unless the fraction is 0 or 1.
func (c *Captions) Split(fraction float64) (train, val *Captions, err error) {
	if !(fraction >= 0 && fraction <= 1) {
		return nil, nil, errors.Errorf("data: split: validation fraction is %g, want 0 to 1", fraction)
	}
	n := len(c.items)
	k := int(math.Round(fraction * float64(n)))
	if n > 1 && fraction > 0 && fraction < 1 {
		k = min(max(k, 1), n-1)
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	lot := func(i int) float64 { return file{path: c.items[i].name}.lot() }
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(lot(a), lot(b)) })
	return c.take(order[k:]), c.take(order[:k]), nil
}

// take keeps some of the images, in their order.
func (c *Captions) take(index []int) *Captions {
	out := &Captions{MaxPixels: c.MaxPixels}
	slices.Sort(index)
	for _, i := range index {
		out.items = append(out.items, c.items[i])
	}
	return out
}

// missing reports files that do not exist, by the first of them.
func (c *Captions) missing() error {
	first, n := "", 0
	for _, x := range c.items {
		if info, err := os.Stat(x.path); err != nil || info.IsDir() {
			if n++; n == 1 {
				first = x.name
			}
		}
	}
	if n > 0 {
		return errors.Errorf("%d of the %d images do not exist, the first is %s", n, len(c.items), first)
	}
	return nil
}

// collector puts captions together that are given image by image or one by one.
type collector struct {
	items []captioned
	index map[string]int // by name
}

// add gives an image another caption.
func (c *collector) add(x captioned, text string) error {
	text, err := caption(text)
	if err != nil {
		return errors.WithMessage(err, x.name)
	}
	if c.index == nil {
		c.index = map[string]int{}
	}
	i, ok := c.index[x.name]
	if !ok {
		i = len(c.items)
		c.index[x.name] = i
		c.items = append(c.items, x)
	}
	if y := &c.items[i]; !slices.Contains(y.texts, text) {
		y.texts = append(y.texts, text)
	}
	return nil
}

// caption puts a text on one line.
func caption(text string) (string, error) {
	if !utf8.ValidString(text) {
		return "", errors.Errorf("the caption %q is not UTF-8", text[:min(len(text), 40)])
	}
	text = strings.Join(strings.Fields(text), " ")
	if text == "" {
		return "", errors.New("the caption is empty")
	}
	return text, nil
}

// maxText bounds the bytes of the captions of one image.
const maxText = 1 << 20

// textLines are the lines of a text file that are not blank, a caption each.
func textLines(text []byte) []string {
	var lines []string
	for line := range bytes.Lines(bytes.TrimPrefix(text, []byte(bom))) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			lines = append(lines, string(line))
		}
	}
	return lines
}

const bom = "\ufeff"

// stringOrList reads captions from JSON: one string, or a list of such.
func stringOrList(raw json.RawMessage) ([]string, error) {
	var one *string
	if json.Unmarshal(raw, &one) == nil && one != nil {
		return []string{*one}, nil
	}
	var many []string
	if err := json.Unmarshal(raw, &many); err != nil || len(many) == 0 {
		return nil, errors.Errorf("caption is %.40s, want a string or a list of strings", raw)
	}
	return many, nil
}

// JoinCaptions returns the images of all parts, one part after the other.
func JoinCaptions(parts ...*Captions) *Captions {
	out := &Captions{}
	for _, p := range parts {
		out.items = append(out.items, p.items...)
		out.MaxPixels = max(out.MaxPixels, p.MaxPixels)
	}
	return out
}
