// Command pixels prepares images for preprocess_fuzz.py: for every line of
// standard input, an object of file, recipe ("clip" or "vit") and size, it
// writes the size×size RGB pixels that the model would see to standard output,
// three bytes each.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/pkg/errors"

	"tessera/train/data"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "pixels:", err)
		os.Exit(1)
	}
}

func run(r io.Reader, w io.Writer) error {
	in, out := json.NewDecoder(r), bufio.NewWriter(w)
	for in.More() {
		var job struct {
			File, Recipe string
			Size         int
		}
		if err := in.Decode(&job); err != nil {
			return errors.WithStack(err)
		}
		p := data.CLIPPreprocess(job.Size)
		if job.Recipe == "vit" {
			p = data.ViTPreprocess(job.Size)
		}
		im, err := data.DecodeFile(job.File, 0)
		if err != nil {
			return err
		}
		if im, err = p.Apply(im); err != nil {
			return errors.Wrap(err, job.File)
		}
		if _, err := out.Write(im.Pix); err != nil {
			return errors.WithStack(err)
		}
	}
	return errors.WithStack(out.Flush())
}
