package data

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tree writes files, all with the same small picture, below a new folder.
func tree(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	b := encodePNG(t, NewImage(3, 2, 3).Std())
	for _, name := range names {
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		write(t, dir, name, b)
	}
	return dir
}

// listing is "class: path" of every example.
func listing(f *Folder) []string {
	var all []string
	for _, x := range f.files {
		all = append(all, f.classes[x.label]+": "+x.path)
	}
	return all
}

func TestOpenFolder(t *testing.T) {
	dir := tree(t,
		"dog/b.JPG", "dog/a.png", "dog/deep/c.webp", "dog/notes.txt", "dog/.hidden.png", "dog/.cache/x.png",
		"cat/1.tiff", "cat/2.bmp", "cat/3.gif", "cat/4.jpeg", "cat/5.tif", "README.md", ".git/x.png")
	f, err := OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"cat: cat/1.tiff", "cat: cat/2.bmp", "cat: cat/3.gif", "cat: cat/4.jpeg", "cat: cat/5.tif",
		"dog: dog/a.png", "dog: dog/b.JPG", "dog: dog/deep/c.webp",
	}
	if got := listing(f); !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
	ex, err := f.Example(6)
	if err != nil {
		t.Fatal(err)
	}
	if ex.Label != 1 || ex.Name != filepath.Join(dir, "dog", "b.JPG") || ex.Image.W != 3 || ex.Image.H != 2 {
		t.Errorf("example 6 is %s with label %d and %d×%d pixels", ex.Name, ex.Label, ex.Image.W, ex.Image.H)
	}
	write(t, dir, "dog/a.png", []byte("not a picture"))
	if ex, err := f.Example(5); err == nil || ex.Name != filepath.Join(dir, "dog", "a.png") || !strings.Contains(err.Error(), ex.Name) {
		t.Errorf("damaged file: name %q, error %v", ex.Name, err)
	}
	f.MaxPixels = 5
	if _, err := f.Example(6); err == nil {
		t.Error("an image of 6 pixels passes a limit of 5")
	}
}

func TestOpenFolderFollowsLinks(t *testing.T) {
	other := tree(t, "a.png")
	dir := tree(t, "cat/1.png")
	if err := os.Symlink(other, filepath.Join(dir, "dog")); err != nil {
		t.Skip(err)
	}
	f, err := OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := listing(f), []string{"cat: cat/1.png", "dog: dog/a.png"}; !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
}

func TestOpenFolderRejects(t *testing.T) {
	for _, tt := range []struct {
		name, dir, want string
	}{
		{"a missing folder", filepath.Join(t.TempDir(), "none"), "no such file"},
		{"no classes", tree(t, "a.png"), "no sub-folders, want one per class"},
		{"a class without images", tree(t, "cat/1.png", "dog/notes.txt"), "dog holds no images"},
		{"an empty class", tree(t, "cat/1.png", "ant/"), "ant holds no images"},
		{"an unknown class in val", tree(t, "train/cat/1.png", "val/dog/1.png"), filepath.Join("val", "dog") + " has no counterpart"},
		{"an empty class in val", tree(t, "train/cat/1.png", "val/cat/"), filepath.Join("val", "cat") + " holds no images"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, _, err := OpenFolders(tt.dir, 0.1); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestOpenFoldersLayouts(t *testing.T) {
	for _, tt := range []struct {
		name       string
		files      []string
		train, val []string
	}{
		{"train and val",
			[]string{"train/cat/1.png", "train/dog/1.png", "val/dog/2.png", "test/cat/3.png"},
			[]string{"cat: cat/1.png", "dog: dog/1.png"}, []string{"dog: dog/2.png"}},
		{"train and test",
			[]string{"train/cat/1.png", "train/dog/1.png", "test/cat/3.png"},
			[]string{"cat: cat/1.png", "dog: dog/1.png"}, []string{"cat: cat/3.png"}},
		{"a class called train",
			[]string{"train/1.png", "bus/1.png"},
			[]string{"bus: bus/1.png"}, []string{"train: train/1.png"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			train, val, err := OpenFolders(tree(t, tt.files...), 0.4)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(train.Classes(), val.Classes()) {
				t.Errorf("classes %q and %q differ", train.Classes(), val.Classes())
			}
			got := append(listing(train), listing(val)...)
			want := append(slices.Clone(tt.train), tt.val...)
			if tt.name == "a class called train" { // split by hash
				slices.Sort(got)
				slices.Sort(want)
			}
			if !slices.Equal(got, want) {
				t.Errorf("files %q, want %q", got, want)
			}
		})
	}
}

func TestFolderSplit(t *testing.T) {
	f := &Folder{dir: "x", classes: []string{"a", "b"}}
	for i := range 2000 {
		f.files = append(f.files, file{fmt.Sprintf("%s/%04d.png", f.classes[i/1000], i), i / 1000})
	}
	train, val, err := f.Split(0.1)
	if err != nil {
		t.Fatal(err)
	}
	if n := val.Len(); n < 160 || n > 240 || train.Len()+n != 2000 {
		t.Errorf("%d and %d files, want about 1800 and 200", train.Len(), n)
	}
	if b := slices.IndexFunc(val.files, func(x file) bool { return x.label == 1 }); b < 70 || b > 130 {
		t.Errorf("%d files of the first class, want about half of %d", b, val.Len())
	}
	// The parts must be the same everywhere and forever.
	if got, want := val.files[0].path+" "+val.files[1].path, "a/0019.png a/0025.png"; got != want {
		t.Errorf("val begins with %s, want %s", got, want)
	}
	// Without a file the others stay where they are.
	fewer := &Folder{dir: "x", classes: f.classes, files: slices.Delete(slices.Clone(f.files), 500, 1500)}
	_, less, err := fewer.Split(0.1)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range less.files {
		if !slices.Contains(val.files, x) {
			t.Errorf("%s has changed sides", x.path)
		}
	}
}

func TestFolderSplitSmall(t *testing.T) {
	for _, tt := range []struct {
		n        int
		fraction float64
		val      func(int) bool
	}{
		{0, 0.5, func(v int) bool { return v == 0 }},
		{2, 0.001, func(v int) bool { return v == 1 }},
		{2, 0.999, func(v int) bool { return v == 1 }},
		{9, 0.001, func(v int) bool { return v == 1 }},
		{9, 0.999, func(v int) bool { return v == 8 }},
		{9, 0, func(v int) bool { return v == 0 }},
		{9, 1, func(v int) bool { return v == 9 }},
	} {
		f := &Folder{classes: []string{"a"}}
		for i := range tt.n {
			f.files = append(f.files, file{fmt.Sprintf("a/%d", i), 0})
		}
		train, val, err := f.Split(tt.fraction)
		if err != nil || !tt.val(val.Len()) || train.Len()+val.Len() != tt.n {
			t.Errorf("%d files at %g: %d and %d, error %v", tt.n, tt.fraction, train.Len(), val.Len(), err)
		}
	}
	if _, _, err := (&Folder{}).Split(1.1); err == nil {
		t.Error("a fraction of 1.1 is accepted")
	}
}
