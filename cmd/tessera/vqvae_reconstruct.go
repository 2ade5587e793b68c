package main

import (
	"fmt"
	"image"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"

	"tessera/train/data"
)

func newVQVAEReconstruct() *cobra.Command {
	var (
		dir, out string
		n        int
		o        vqvaeData
	)
	cmd := &cobra.Command{
		Use:   "reconstruct --model DIR --out FILE.png FILE|FOLDER... | --data SPEC",
		Short: "Draw images above what their tokens become",
		Long: `Draw a PNG file of images as the model sees them, above what is drawn again from
their tokens. A file that cannot be read is reported and left out; the exit code is
then 1.`,
		Example: `  tessera vqvae reconstruct --model runs/tokens --data shapes --out pairs.png
  tessera vqvae reconstruct --model runs/tokens --out pairs.png holiday/`,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case out == "":
				return usagef("--out is missing: name a .png file")
			case n < 1:
				return usagef("--n is %d, want 1 or more", n)
			}
			m, err := loadVQVAE(dir)
			if err != nil {
				return err
			}
			log := logger(cmd)
			ds, failed, err := o.images(args, m.Config, log)
			if err != nil {
				return err
			}
			ds = data.Take(ds, n)
			grids, bad, err := o.encode(cmd.Context(), m, ds, log)
			if err != nil {
				return err
			}
			drawn, err := decodeGrids(cmd.Context(), m, grids)
			if err != nil {
				return err
			}
			var originals []image.Image
			p := pixels(m.Config)
			for i := range ds.Len() {
				ex, err := ds.Example(i)
				if err != nil { // reported by encode
					continue
				}
				im, err := p.Apply(ex.Image)
				if err != nil {
					continue
				}
				originals = append(originals, im.Std())
			}
			c, err := drawGrid([][]image.Image{originals, drawn})
			if err != nil {
				return err
			}
			if err := c.save(out); err != nil {
				return err
			}
			if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %d images above their reconstructions from %d tokens each\n", out, len(drawn), m.Tokens()); err != nil {
				return err
			}
			if failed += bad; failed > 0 {
				return errors.Errorf("%d of the files or folders could not be read", failed)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&dir, "model", "", "folder of the model")
	f.StringVarP(&out, "out", "o", "", "PNG file to write")
	f.IntVar(&n, "n", 12, "most images to draw, evenly spaced")
	o.bind(f)
	return cmd
}
