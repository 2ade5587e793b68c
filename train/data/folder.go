package data

import (
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pkg/errors"
)

// Folder is a data set of image files in a sub-folder per class, at any depth
// below it. Classes and files are sorted by name. Files count by their
// extension: jpg, jpeg, png, gif, webp, bmp, tif or tiff in any case; names that
// begin with a dot do not.
type Folder struct {
	MaxPixels int // limit on an image's area; ≤ 0: DefaultMaxPixels

	dir     string
	classes []string
	files   []file
}

type file struct {
	path  string // relative to the data set's folder, with slashes
	label int
}

// OpenFolder lists the files of a data set. A folder without classes and a
// class without images are errors.
func OpenFolder(dir string) (*Folder, error) {
	classes, err := subFolders(dir)
	if err != nil {
		return nil, err
	}
	if len(classes) == 0 {
		return nil, errors.Errorf("data: %s has no sub-folders, want one per class", dir)
	}
	f := &Folder{dir: dir, classes: classes}
	for label, class := range classes {
		n := len(f.files)
		if err := f.list(class, label); err != nil {
			return nil, err
		}
		if len(f.files) == n {
			return nil, errors.Errorf("data: class folder %s holds no images", filepath.Join(dir, class))
		}
	}
	return f, nil
}

// OpenFolders opens dir for training and validation: its sub-folders train and
// val (or else test) where it has these two; otherwise the files of train, or of
// dir itself, are split by [Folder.Split]. Both parts have the classes of the
// training part.
func OpenFolders(dir string, fraction float64) (train, val *Folder, err error) {
	root := filepath.Join(dir, "train")
	inner, err := subFolders(root)
	if err != nil || len(inner) == 0 {
		// Missing, or a class of that name.
		all, err := OpenFolder(dir)
		if err != nil {
			return nil, nil, err
		}
		return all.Split(fraction)
	}
	if train, err = OpenFolder(root); err != nil {
		return nil, nil, err
	}
	for _, name := range []string{"val", "test"} {
		other := filepath.Join(dir, name)
		if _, err := os.Stat(other); os.IsNotExist(err) {
			continue
		}
		if val, err = OpenFolder(other); err != nil {
			return nil, nil, err
		}
		return train, val, val.adopt(train.classes)
	}
	return train.Split(fraction)
}

// adopt renumbers the labels by another list of classes.
func (f *Folder) adopt(classes []string) error {
	for i, x := range f.files {
		label, ok := slices.BinarySearch(classes, f.classes[x.label])
		if !ok {
			return errors.Errorf("data: class folder %s has no counterpart in the training data",
				filepath.Join(f.dir, f.classes[x.label]))
		}
		f.files[i].label = label
	}
	f.classes = classes
	return nil
}

// Split deals out about the given fraction of the files, 0 to 1, to val and the
// rest to train. A file goes by the hash of its path below the folder, so its
// part is the same on every machine and stays the same when others come or go.
// Of two or more files neither part goes empty unless the fraction is 0 or 1.
func (f *Folder) Split(fraction float64) (train, val *Folder, err error) {
	if !(fraction >= 0 && fraction <= 1) {
		return nil, nil, errors.Errorf("data: split: validation fraction is %g, want 0 to 1", fraction)
	}
	train = &Folder{MaxPixels: f.MaxPixels, dir: f.dir, classes: f.classes}
	val = &Folder{MaxPixels: f.MaxPixels, dir: f.dir, classes: f.classes}
	low, high := 0, 0
	for i, x := range f.files {
		u := x.lot()
		if u < f.files[low].lot() {
			low = i
		}
		if u > f.files[high].lot() {
			high = i
		}
		if u < fraction {
			val.files = append(val.files, x)
		} else {
			train.files = append(train.files, x)
		}
	}
	if len(f.files) < 2 || fraction == 0 || fraction == 1 {
		return train, val, nil
	}
	if len(val.files) == 0 {
		val.files = append(val.files, f.files[low])
		train.files = slices.Delete(train.files, low, low+1)
	} else if len(train.files) == 0 {
		train.files = append(train.files, f.files[high])
		val.files = slices.Delete(val.files, high, high+1)
	}
	return train, val, nil
}

// lot is a number in [0, 1) that depends on the path alone: the scrambled
// FNV-1a hash of its bytes.
func (x file) lot() float64 {
	h := fnv.New64a()
	h.Write([]byte(x.path))
	return float64(scramble(h.Sum64())>>11) / (1 << 53)
}

func (f *Folder) Len() int          { return len(f.files) }
func (f *Folder) Classes() []string { return f.classes }

// Example reads and decodes a file. Its name is the path.
func (f *Folder) Example(i int) (Example, error) {
	x := f.files[i]
	path := filepath.Join(f.dir, filepath.FromSlash(x.path))
	im, err := DecodeFile(path, f.MaxPixels)
	return Example{Image: im, Label: x.label, Name: path}, err
}

// list appends the images of a class in the order of their paths.
func (f *Folder) list(class string, label int) error {
	// A class may be a link to a folder, which WalkDir would not enter.
	root, err := filepath.EvalSymlinks(filepath.Join(f.dir, class))
	if err != nil {
		return errors.Wrap(err, "data")
	}
	return filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return errors.Wrap(err, "data")
		}
		if path != root && strings.HasPrefix(e.Name(), ".") {
			if e.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if e.IsDir() || !isImage(e.Name()) {
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return errors.Wrap(err, "data")
		}
		f.files = append(f.files, file{class + "/" + filepath.ToSlash(rel), label})
		return nil
	})
}

func isImage(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff":
		return true
	}
	return false
}

// subFolders lists the folders in dir, and links to such, in order of name.
// Hidden ones do not count.
func subFolders(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, errors.Wrap(err, "data")
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if info, err := os.Stat(filepath.Join(dir, e.Name())); err == nil && info.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}
