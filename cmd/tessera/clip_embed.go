package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"

	"tessera/graph/safetensors"
)

// embedOptions are the flags of "clip embed".
type embedOptions struct {
	model, act, textsFrom, out string
	images, texts              []string
}

func newClipEmbed() *cobra.Command {
	var o embedOptions
	cmd := &cobra.Command{
		Use:   "embed --model DIR [--image FILE|FOLDER] [--text TEXT]",
		Short: "Embed images and texts",
		Long: `Embed images and texts as vectors of unit length, whose inner products are
cosines: first the texts, then the images, each in the order given and folders by
name.

Results are lines of JSON, {"text": …, "embedding": […]} or {"image": …}, or with
--out FILE.npy a matrix for NumPy, a row for each. A file that cannot be read is
reported and left out; the exit code is then 1.`,
		Example: `  tessera clip embed --model clip-b32 --text "a red car" --image photos/
  tessera clip embed --model clip-b32 --texts-from captions.txt --out captions.npy`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.model, "model", "", "folder or file of the model")
	f.StringArrayVar(&o.images, "image", nil, "image file, or folder of such; may be repeated")
	f.StringArrayVar(&o.texts, "text", nil, "text; may be repeated")
	f.StringVar(&o.textsFrom, "texts-from", "", "file of texts, one a line; - is standard input")
	f.StringVar(&o.out, "out", "", "file for the results: .npy, or lines of JSON (default standard output)")
	bindHiddenAct(cmd, &o.act)
	return cmd
}

// embedding is a line of the result.
type embedding struct {
	Text      *string   `json:"text,omitempty"`
	Image     string    `json:"image,omitempty"`
	Embedding []float32 `json:"embedding"`
}

func (o *embedOptions) run(cmd *cobra.Command) error {
	texts := o.texts
	if o.textsFrom != "" {
		lines, err := readLines(o.textsFrom, cmd.InOrStdin())
		if err != nil {
			return errors.Wrap(err, "--texts-from")
		}
		texts = append(texts, lines...)
	}
	if len(texts) == 0 && len(o.images) == 0 {
		return usagef("there is nothing to embed: want --image, --text or --texts-from")
	}
	log := logger(cmd)
	e, err := loadEmbedder(o.model, o.act, log)
	if err != nil {
		return err
	}
	defer e.Close()
	files, failed := imageFiles(o.images, log)
	bad := 0
	each := func(yield func(embedding) error) error {
		rows, err := e.embedTexts(cmd.Context(), texts)
		if err != nil {
			return err
		}
		for i := range texts {
			if err := yield(embedding{Text: &texts[i], Embedding: rows[i*e.ProjectionDim:][:e.ProjectionDim]}); err != nil {
				return err
			}
		}
		bad, err = e.embedImages(cmd.Context(), files, func(file string, row []float32) error {
			return yield(embedding{Image: file, Embedding: row})
		})
		return err
	}
	switch {
	case o.out == "":
		err = writeLines(cmd.OutOrStdout(), each)
	case strings.HasSuffix(o.out, ".npy"):
		err = writeMatrix(o.out, e.ProjectionDim, each)
	default:
		err = safetensors.WriteAtomic(o.out, func(w io.Writer) error { return writeLines(w, each) })
	}
	if failed += bad; err == nil && failed > 0 {
		err = errors.Errorf("%d of the files or folders could not be read", failed)
	}
	return err
}

// writeLines writes results as they come, as lines of JSON.
func writeLines(w io.Writer, each func(yield func(embedding) error) error) error {
	out := bufio.NewWriter(w)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	if err := each(func(x embedding) error { return errors.WithStack(lines.Encode(x)) }); err != nil {
		return err
	}
	return errors.WithStack(out.Flush())
}

// writeMatrix writes results to a .npy file of float32, rows of n.
func writeMatrix(path string, n int, each func(yield func(embedding) error) error) error {
	var data []float32
	if err := each(func(x embedding) error {
		data = append(data, x.Embedding...)
		return nil
	}); err != nil {
		return err
	}
	return safetensors.WriteAtomic(path, func(w io.Writer) error {
		header := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", len(data)/n, n)
		const magic = "\x93NUMPY\x01\x00"
		fill := (len(magic) + 2 + len(header) + 1) % 64 // the data is aligned to 64 bytes
		header += strings.Repeat(" ", (64-fill)%64) + "\n"
		out := bufio.NewWriter(w)
		out.WriteString(magic)
		out.Write(binary.LittleEndian.AppendUint16(nil, uint16(len(header))))
		out.WriteString(header)
		if err := binary.Write(out, binary.LittleEndian, data); err != nil {
			return errors.WithStack(err)
		}
		return errors.WithStack(out.Flush())
	})
}
