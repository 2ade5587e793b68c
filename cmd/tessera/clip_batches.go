package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"

	"tessera/graph/safetensors"
	"tessera/train/data"
)

// batchesFile holds the batches of a run beside the model they start from.
const batchesFile = "batches.safetensors"

// newClipBatches is for comparisons and not listed: another program can train
// on the very batches, from the very weights.
func newClipBatches() *cobra.Command {
	var o clipSettings
	cmd := &cobra.Command{
		Use:    "batches --data SPEC --out DIR",
		Hidden: true,
		Short:  "Write the batches of a training run, and the model it starts from",
		Long: `Write what "train" with the same flags would do, without doing it: the untrained
model, its tokenizer, and ` + batchesFile + ` with

  images                the training images (n, C, S, S), prepared
  texts, ends           the captions in use (t, L), and their end tokens (t)
  image, text           the images and captions of every step (steps, batch)
  label                 what belongs together in a batch (steps, batch)
  test.images           images to test by (m, C, S, S)
  test.texts, test.ends their captions (u, L'), and end tokens (u)
  test.image, test.text the pairs of these (p)

Its metadata are the flags.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.resume {
				return usagef("--resume is for training, leave it out")
			}
			if _, err := o.prepare(cmd.Flags()); err != nil {
				return err
			}
			if o.data == "shapes" {
				return usagef("--data shapes: all images are written, so say how many, as in shapes:20000")
			}
			r := &clipRun{clipSettings: &o, fit: newFit(cmd, &o.fitting, ""), log: logger(cmd)}
			if err := r.open(""); err != nil {
				return err
			}
			r.plan()
			tensors, err := r.batches(cmd.Context())
			if err != nil {
				return err
			}
			if err := os.MkdirAll(o.out, 0o777); err != nil {
				return errors.Wrapf(err, "--out %s", o.out)
			}
			if err := r.save(o.out); err != nil {
				return err
			}
			if err := safetensors.Write(filepath.Join(o.out, batchesFile), tensors, r.fit.trainer.Settings); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: a model and the batches of %s steps\n", o.out, thousands(r.fit.length()))
			return err
		},
	}
	o.bind(cmd.Flags())
	return cmd
}

// batches collects the batches of the run and what it is tested by.
func (r *clipRun) batches(ctx context.Context) ([]safetensors.Tensor, error) {
	v := r.Config.Vision
	size := v.Channels * v.ImageSize * v.ImageSize
	images := make([]float32, r.parts.train.Len()*size)
	var image, text, label []int64
	var rows textRows
	for m, err := range r.fit.trainer.Data(0) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		pixels, ids, ends := m.Batch["image"].Float32s(), m.Batch["ids"].Float32s(), m.Batch["ends"].Float32s()
		for row, i := range m.Index {
			copy(images[i*size:][:size], pixels[row*size:])
			image = append(image, int64(i))
			text = append(text, rows.add(ids[row*r.length:][:r.length], ends[row]))
			if r.same {
				label = append(label, int64(m.Batch["label"].Float32s()[row]))
			} else {
				label = append(label, int64(row))
			}
		}
		if m.Step+1 == r.fit.length() {
			break
		}
	}
	steps := []int{r.fit.length(), r.batch}
	tensors := append(rows.tensors(r.length),
		safetensors.Tensor{Name: "images", Shape: []int{len(images) / size, v.Channels, v.ImageSize, v.ImageSize}, Data: images},
		safetensors.Tensor{Name: "image", Shape: steps, Data: image},
		safetensors.Tensor{Name: "text", Shape: steps, Data: text},
		safetensors.Tensor{Name: "label", Shape: steps, Data: label})
	part, ok := r.parts.test.(data.Captioned)
	if !ok {
		return tensors, nil
	}
	test, err := r.testPairs(part)
	return append(tensors, test...), err
}

// testPairs are the images of a part, its captions, and which belong together.
func (r *clipRun) testPairs(part data.Captioned) ([]safetensors.Tensor, error) {
	l := &data.Loader{Dataset: part, BatchSize: r.batch, Workers: r.workers, Inputs: []data.Input{data.Images(r.embed.Input, nil)}}
	v := r.Config.Vision
	var images []float32
	var image, text []int64
	t := texts{known: map[string]int{}}
	n := 0
	for m, err := range l.Epoch() {
		if err != nil {
			return nil, err
		}
		images = append(images, m.Batch["image"].Float32s()...)
		for _, i := range m.Index {
			t.add(part.Captions(i))
			for _, j := range t.own[n] {
				image, text = append(image, int64(n)), append(text, int64(j))
			}
			n++
		}
	}
	ids, err := r.embed.Encode(t.all)
	if err != nil {
		return nil, err
	}
	packed, ends, err := r.Config.Text.Texts(ids, 0)
	if err != nil {
		return nil, err
	}
	return []safetensors.Tensor{
		{Name: "test.images", Shape: []int{n, v.Channels, v.ImageSize, v.ImageSize}, Data: images},
		{Name: "test.texts", Shape: packed.Shape(), Data: whole(packed.Float32s())},
		{Name: "test.ends", Shape: ends.Shape(), Data: whole(ends.Float32s())},
		{Name: "test.image", Shape: []int{len(image)}, Data: image},
		{Name: "test.text", Shape: []int{len(text)}, Data: text},
	}, nil
}

// textRows are the different rows of ids, in the order in which they came.
type textRows struct {
	known     map[string]int64
	ids, ends []int64
}

// add returns the number of a row.
func (t *textRows) add(ids []float32, end float32) int64 {
	if t.known == nil {
		t.known = map[string]int64{}
	}
	var key []byte
	for _, id := range ids {
		key = binary.AppendUvarint(key, uint64(id))
	}
	i, ok := t.known[string(key)]
	if !ok {
		i = int64(len(t.known))
		t.known[string(key)] = i
		t.ids = append(t.ids, whole(ids)...)
		t.ends = append(t.ends, int64(end))
	}
	return i
}

func (t *textRows) tensors(length int) []safetensors.Tensor {
	return []safetensors.Tensor{
		{Name: "texts", Shape: []int{len(t.ends), length}, Data: t.ids},
		{Name: "ends", Shape: []int{len(t.ends)}, Data: t.ends},
	}
}

// whole are whole numbers that graphs hold as floats.
func whole(x []float32) []int64 {
	out := make([]int64, len(x))
	for i, v := range x {
		out[i] = int64(v)
	}
	return out
}
