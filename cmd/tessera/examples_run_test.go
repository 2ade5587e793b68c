package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"tessera/train/data"
)

// smaller are flags that make an example take a moment, by command. They go
// after its own.
var smaller = map[string]string{
	"tessera clip train":           "--batch 4 --epochs 1 --vocabulary 560",
	"tessera vit train":            "--batch 4 --steps 2",
	"tessera quickstart":           "--images 1000 --epochs 1",
	"tessera vqvae train":          "--batch 4 --steps 2",
	"tessera dalle train":          "--batch 8 --steps 2 --width 32 --layers 2",
	"tessera dalle generate":       "--n 8",
	"tessera dalle eval":           "--n 6",
	"tessera flamingo pretrain-lm": "--vocab-size 300 --width 16 --layers 2 --heads 2 --context 400 --batch 4 --steps 2",
	"tessera flamingo train":       "--batch 8 --steps 2 --shots 1 --latents 3 --depth 1 --heads 2 --head-width 5",
	"tessera flamingo eval":        "--n 4",
}

// notRun are examples that are not run here, and why.
var notRun = map[string]string{
	"tessera search serve --model clip-b32 --index photos.tessera --images photos/": "it does not end: TestSearchServe does",
}

// exampleOrder are the commands whose examples others need, in an order in which
// what one writes is there for the next.
var exampleOrder = []string{
	"tessera clip train", "tessera vit train", "tessera vqvae train", "tessera dalle train",
	"tessera flamingo pretrain-lm", "tessera flamingo train", "tessera vqvae encode",
	"tessera search index", "tessera search add",
}

// TestExamplesRun runs the example of every command, with fewer images and steps
// and smaller models, where the files are that it names.
func TestExamplesRun(t *testing.T) {
	if testing.Short() {
		t.Skip("runs every command")
	}
	exampleFiles(t)
	var commands []*cobra.Command
	walk(newRoot(), func(c *cobra.Command) { commands = append(commands, c) })
	place := func(c *cobra.Command) int {
		if i := slices.Index(exampleOrder, c.CommandPath()); i >= 0 {
			return i
		}
		return len(exampleOrder)
	}
	slices.SortStableFunc(commands, func(a, b *cobra.Command) int { return place(a) - place(b) })
	for _, c := range commands {
		for _, line := range examples(c) {
			t.Run(line, func(t *testing.T) { runExample(t, line) })
		}
	}
}

func runExample(t *testing.T, line string) {
	if why := notRun[line]; why != "" {
		t.Skip(why)
	}
	args, input := call(t, line)
	c, _, err := newRoot().Find(args)
	if err != nil {
		t.Fatal(err)
	}
	for i, word := range args {
		if word == "shapes" {
			args[i] = "shapes:64"
		}
	}
	args = append(args, split(t, smaller[c.CommandPath()])...)
	if i := slices.Index(args, "--out"); i >= 0 && strings.Contains(c.Name(), "train") && !slices.Contains(args, "--resume") {
		// Several examples may have the same folder.
		if err := os.RemoveAll(args[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	var stdin []byte
	if input != "" {
		stdin = read(t, input)
	}
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), args, bytes.NewReader(stdin), &stdout, &stderr); code != exitOK {
		t.Errorf("exit code %d of tessera %s\n%s", code, strings.Join(args, " "), &stderr)
	}
}

// exampleFiles makes a folder with the files that examples name, and goes there.
func exampleFiles(t *testing.T) {
	t.Helper()
	repository, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	for name, to := range map[string]string{
		"testdata": "testdata", "clip-b32": "testdata/clip/tiny", "ViT-B-32.pt": "testdata/torch/script.pt",
	} {
		if err := os.Symlink(filepath.Join(repository, to), name); err != nil {
			t.Skip(err)
		}
	}
	shapes := data.Shapes{N: 40, Size: 32, Seed: 9}
	draw := func(i int, path string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := writePNG(path, pictured(shapes.Spec(i), shapes.Size)); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range []string{
		"photo.jpg", "circle.png", "street.jpg", "pets.jpg", "cat.jpg", "like-this.jpg", "half.png", "a.png", "c.png",
		"holiday/a.jpg", "holiday/b.jpg",
	} {
		draw(i, name)
	}
	table := "path,caption\n"
	for i := range 20 {
		path := fmt.Sprintf("photos/%s/%d.png", []string{"one", "two"}[i%2], i)
		draw(i, path)
		draw(i, fmt.Sprintf("pets/%s/%d.png", []string{"one", "two"}[i%2], i))
		table += strings.TrimPrefix(path, "photos/") + "," + shapes.Spec(i).Caption() + "\n"
	}
	write(t, "photos/captions.csv", []byte(table))
	write(t, "judged.jsonl", []byte(`{"text": "a grey cat", "relevant": ["17"]}`))
	write(t, "names.txt", []byte("red circle\nblue star\n"))
	write(t, "captions.txt", []byte("a red circle\na blue star\n"))
	var lines []string
	for i := range 200 {
		lines = append(lines, shapes.Spec(i).Caption()+".")
	}
	for _, name := range []string{"book.txt", "notes.txt"} {
		write(t, name, []byte(strings.Join(lines, "\n")))
	}
	exampleSets(t, draw)
	for _, name := range []string{"model.safetensors", "config.json", "golden.safetensors"} {
		write(t, filepath.Join("runs/model", name), read(t, filepath.Join("testdata/vit/tiny", name)))
	}
	write(t, "golden.safetensors", read(t, "testdata/vit/tiny/golden.safetensors"))
	ok(t, "vit", "train", "--data", "shapes:64", "--out", "vit-base", "--batch", "16", "--steps", "1")
}

// exampleSets makes small data sets in published formats.
func exampleSets(t *testing.T, draw func(i int, path string)) {
	t.Helper()
	for name, n := range map[string]uint32{"train": 40, "t10k": 10} {
		head := func(kind byte, sides ...uint32) []byte {
			b := binary.BigEndian.AppendUint32([]byte{0, 0, 8, kind}, n)
			for _, s := range sides {
				b = binary.BigEndian.AppendUint32(b, s)
			}
			return b
		}
		labels := head(1)
		for i := range n {
			labels = append(labels, byte(i%10))
		}
		write(t, "data/fashion/"+name+"-images-idx3-ubyte", append(head(3, 28, 28), make([]byte, n*28*28)...))
		write(t, "data/fashion/"+name+"-labels-idx1-ubyte", labels)
	}
	for _, name := range []string{"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"} {
		write(t, "data/cifar/"+name+".bin", make([]byte, 2*(1+3*32*32)))
	}
	write(t, "data/cifar/batches.meta.txt", []byte("airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n"))
	draw(0, "coco/val2017/1.jpg")
	draw(1, "coco/val2017/2.jpg")
	write(t, "coco/annotations/captions_val2017.json", []byte(`{
		"images": [{"id": 1, "file_name": "1.jpg"}, {"id": 2, "file_name": "2.jpg"}],
		"annotations": [{"image_id": 1, "caption": "a square"}, {"image_id": 2, "caption": "a star"}]}`))
	write(t, "node_modules/p/emoji.json", []byte(`[{"name": "RUNNER", "unified": "1F3C3"}, {"name": "CAT", "unified": "1F408"},
		{"name": "DOG", "unified": "1F415"}, {"name": "BUS", "unified": "1F68C"}]`))
	for _, style := range []string{"apple", "twitter"} {
		for i, code := range []string{"1f3c3", "1f408", "1f415", "1f68c"} {
			draw(i, "node_modules/p/img/"+style+"/64/"+code+".png")
		}
	}
}
