package main

import (
	"fmt"
	"image"
	"image/color"

	"github.com/spf13/cobra"

	"tessera/train/data"
	"tessera/vit"
)

func newViTPatches() *cobra.Command {
	var (
		dir, out    string
		patch, size int
		numbers     bool
	)
	cmd := &cobra.Command{
		Use:   "patches IMAGE (--model DIR | --patch P --size S) -o FILE.png",
		Short: "Draw the patches that an image becomes",
		Long: `Draw the patches that an image becomes, as a model sees them: resized, cropped
and cut. Without a model the central square is resized to --size.`,
		Example: `  tessera vit patches photo.jpg -o patches.png
  tessera vit patches photo.jpg --model runs/shapes --numbers -o patches.png`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" {
				return usagef("--out is missing: name the PNG file to write")
			}
			var input data.Preprocess
			f := cmd.Flags()
			switch {
			case dir != "" && (f.Changed("patch") || f.Changed("size")):
				return usagef("--model decides the patches: leave out --patch and --size")
			case dir != "":
				c, err := loadClassifier(dir, vit.LoadOptions{}, logger(cmd))
				if err != nil {
					return err
				}
				input, patch, size = c.input, c.PatchSize, c.ImageSize
			case size < 1 || size > 4096:
				return usagef("--size is %d, want 1 to 4096 pixels", size)
			case patch < 1 || size%patch != 0:
				return usagef("--patch is %d, want a divisor of the %d pixels of --size", patch, size)
			default:
				input = data.TimmPreprocess(size, 1)
			}
			im, err := data.DecodeFile(args[0], 0)
			if err != nil {
				return err
			}
			if im, err = input.Apply(im); err != nil {
				return err
			}
			c, err := drawPatches(im, patch, numbers)
			if err != nil {
				return err
			}
			if err := c.save(out); err != nil {
				return err
			}
			n := size / patch
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %d×%d = %d patches of %d×%d pixels, tokens of %d values each\n",
				out, n, n, n*n, patch, patch, im.C*patch*patch)
			return err
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&dir, "model", "", "folder of the model whose patches to draw")
	f.IntVar(&patch, "patch", 16, "side of a patch, in pixels")
	f.IntVar(&size, "size", 224, "side of the image, in pixels")
	f.BoolVar(&numbers, "numbers", false, "number the patches")
	f.StringVarP(&out, "out", "o", "", "PNG file to write")
	return cmd
}

// ground shows between patches, where white ones still have edges.
var ground = color.RGBA{0x8d, 0x99, 0xa6, 0xff}

// drawPatches draws the patches of a square image with gaps between them,
// numbered from 0 in the order of the tokens if asked for.
func drawPatches(im *data.Image, patch int, numbers bool) (*canvas, error) {
	n := im.W / patch
	zoom := max(1, 896/im.W) // whole, so that pixels stay pixels
	side := patch * zoom
	gap := max(1, side/10)
	margin := max(12, 2*gap)
	letters := min(18, max(7, float64(side)/4))
	total := n*side + (n-1)*gap + 2*margin
	c, err := newCanvas(total, total, letters)
	if err != nil {
		return nil, err
	}
	c.fill(c.Bounds(), ground)
	photo := im.Std()
	for i := range n * n {
		row, col := i/n, i%n
		at := image.Pt(margin+col*(side+gap), margin+row*(side+gap))
		r := image.Rectangle{at, at.Add(image.Pt(side, side))}
		c.put(r, photo, image.Rect(col*patch, row*patch, (col+1)*patch, (row+1)*patch), false)
		if numbers {
			c.label(at.Add(image.Pt(0, side)), fmt.Sprint(i))
		}
	}
	return c, nil
}

// label writes text on a dark ground, its lower left corner at p.
func (c *canvas) label(p image.Point, text string) {
	m := c.face.Metrics()
	pad := m.Descent.Ceil()
	top := p.Y - m.Ascent.Ceil() - pad
	c.fill(image.Rect(p.X, top, p.X+c.width(text)+2*pad, p.Y), color.Black)
	c.text(p.X+pad, p.Y-pad, text, color.White, false)
}
