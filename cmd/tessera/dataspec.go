package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pkg/errors"

	"tessera/train/data"
)

// dataKinds are the data sets that a specification may name before its colon.
var dataKinds = []string{"shapes", "fashion-mnist", "mnist", "cifar10", "folder"}

// Drawn data sets: the parts of one set have different seeds, and the same ones
// in every run, so that figures compare.
const (
	shapesTrain    = 20_000
	shapesTest     = 2_000 // at most, and a tenth of the training examples
	shapesSeed     = 1
	shapesValSeed  = 2
	shapesTestSeed = 3
)

// dataForms shows how --data is written.
const dataForms = "shapes[:N], fashion-mnist:DIR, mnist:DIR, cifar10:DIR, folder:DIR"

// dataSpec is a data set as named on the command line.
type dataSpec struct {
	kind  string // one of dataKinds
	dir   string
	n     int  // training examples, for shapes
	given bool // that number was
}

// once is d with n shapes, unless their number was given: so many that a model sees
// each once, and there is none it could know by heart.
func (d dataSpec) once(n int) dataSpec {
	if d.kind == "shapes" && !d.given {
		d.n = n
	}
	return d
}

// suited are the defaults for d. A number of shapes that was given is seen several
// times, if that makes a difference.
func (d dataSpec) suited(defaults map[string]map[string]string) map[string]string {
	if several, ok := defaults[d.kind+":N"]; ok && d.given {
		return several
	}
	return defaults[d.kind]
}

// splits are the parts of a data set; those it lacks are nil.
type splits struct {
	train, val, test data.Dataset
}

// parseDataSpec reads "shapes", "shapes:N", "KIND:DIR" or the path of a folder.
func parseDataSpec(s string) (dataSpec, error) {
	kind, arg, found := strings.Cut(s, ":")
	switch {
	case s == "":
		return dataSpec{}, usagef("--data is empty, want one of %s", dataForms)
	case kind == "shapes":
		d := dataSpec{kind: kind, n: shapesTrain}
		if found {
			n, err := strconv.Atoi(arg)
			if err != nil || n < 1 {
				return d, usagef("--data %s: %q is not a number of examples", s, arg)
			}
			d.n, d.given = n, true
		}
		return d, nil
	case slices.Contains(dataKinds, kind):
		if arg == "" {
			return dataSpec{}, usagef("--data %s: want %s:DIR, the folder that holds the data", s, kind)
		}
		return dataSpec{kind: kind, dir: arg}, nil
	}
	if _, err := os.Stat(s); err == nil {
		return dataSpec{kind: "folder", dir: s}, nil
	}
	if found && !strings.ContainsAny(kind, `/\.`) && len(kind) > 1 {
		return dataSpec{}, unknown("data set", kind, dataKinds)
	}
	if near := nearest(s, dataKinds); near != "" {
		return dataSpec{}, usagef("--data %s: no such folder or data set: did you mean %q?", s, near)
	}
	return dataSpec{}, errors.Errorf("--data %s: no such folder; data sets are %s", s, dataForms)
}

// open reads the data set; images that are drawn, not stored, get size pixels. The
// share val of the training examples is held out
// for validation where the data set has no such part of its own: a negative one
// means a tenth for folders and none for the others, which have a test part.
func (d dataSpec) open(size int, val float64, seed uint64) (splits, error) {
	switch d.kind {
	case "shapes":
		part := func(n int, seed uint64) data.Dataset {
			return data.Shapes{N: n, Size: size, Seed: seed}
		}
		held := shapesTested(d.n)
		return splits{
			part(d.n, shapesSeed), part(held, shapesValSeed), part(held, shapesTestSeed),
		}, nil
	case "folder":
		if val < 0 {
			val = 0.1
		}
		return openFolder(d.dir, val)
	}
	open := map[string]func(dir, split string) (data.Dataset, error){
		"fashion-mnist": data.FashionMNIST, "mnist": data.MNIST, "cifar10": data.CIFAR10,
	}[d.kind]
	var s splits
	var err error
	if s.train, err = open(d.dir, "train"); err != nil {
		return splits{}, err
	}
	if s.test, err = open(d.dir, "test"); err != nil {
		return splits{}, err
	}
	if val > 0 {
		s.train, s.val, err = data.Split(s.train, val, seed)
	}
	return s, err
}

// shapesTested is how many images there are to test by, of n to train with.
func shapesTested(n int) int { return max(1, min(n/10, shapesTest)) }

// openFolder opens a folder of images: its parts train, val and test where it
// has a part train, and a division of all of it otherwise.
func openFolder(dir string, val float64) (splits, error) {
	var s splits
	root := filepath.Join(dir, "train")
	if _, err := os.Stat(root); errors.Is(err, fs.ErrNotExist) {
		root = dir
	}
	train, err := data.OpenFolder(root)
	if err != nil {
		return s, err
	}
	s.train = train
	if root != dir {
		for name, part := range map[string]*data.Dataset{"val": &s.val, "test": &s.test} {
			path := filepath.Join(dir, name)
			if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
				continue
			}
			f, err := data.OpenFolder(path)
			if err != nil {
				return s, err
			}
			if *part, err = relabel(f, train.Classes(), path); err != nil {
				return s, err
			}
		}
	}
	if s.val == nil && val > 0 {
		var rest, held *data.Folder
		if rest, held, err = train.Split(val); err != nil {
			return s, err
		}
		s.train, s.val = rest, held
	}
	return s, nil
}

// part returns a part by name; an empty name means the test part or else that
// for validation.
func (s splits) part(name string) (data.Dataset, string, error) {
	parts := map[string]data.Dataset{"train": s.train, "val": s.val, "test": s.test}
	if name == "" {
		name = "test"
		if s.test == nil {
			name = "val"
		}
	}
	part, ok := parts[name]
	if !ok {
		return nil, name, unknown("split", name, []string{"train", "val", "test"})
	}
	if part == nil {
		return nil, name, errors.Errorf("the data has no part %q: choose another with --split", name)
	}
	return part, name, nil
}

// relabeled is a data set whose labels count another list of classes.
type relabeled struct {
	data.Dataset
	classes []string
	label   []int // by the label of Dataset
}

func (r relabeled) Classes() []string { return r.classes }

func (r relabeled) Example(i int) (data.Example, error) {
	ex, err := r.Dataset.Example(i)
	if ex.Label >= 0 && ex.Label < len(r.label) {
		ex.Label = r.label[ex.Label]
	}
	return ex, err
}

// relabel numbers the labels of ds by their place in classes, which must have
// them all. Classes that are only numbered ("LABEL_0", as in configurations
// without names) stand for those of ds in order.
func relabel(ds data.Dataset, classes []string, origin string) (data.Dataset, error) {
	own := ds.Classes()
	if slices.Equal(own, classes) {
		return ds, nil
	}
	r := relabeled{ds, classes, make([]int, len(own))}
	for i, name := range own {
		r.label[i] = slices.Index(classes, name)
		if r.label[i] < 0 && numbered(classes) && len(own) == len(classes) {
			r.label[i] = i
		}
		if r.label[i] < 0 {
			return nil, errors.Errorf("%s: class %q is none of the %d known (%s)",
				origin, name, len(classes), abridge(classes, 5))
		}
	}
	return r, nil
}

func numbered(classes []string) bool {
	for i, name := range classes {
		if name != "LABEL_"+strconv.Itoa(i) {
			return false
		}
	}
	return true
}

// abridge joins the first n names and says where there are more.
func abridge(names []string, n int) string {
	if len(names) <= n {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:n], ", ") + ", …"
}
