package main

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pkg/errors"
	"github.com/spf13/pflag"
	"golang.org/x/image/draw"

	"tessera/clip/search"
	"tessera/graph/safetensors"
	"tessera/train/data"
)

// sheetOptions are the flags of contact sheets.
type sheetOptions struct {
	html, png string
	side      int // of thumbnails, in pixels
}

func (o *sheetOptions) bind(f *pflag.FlagSet) {
	f.StringVar(&o.html, "html", "", "HTML file for the hits with thumbnails, which needs no other")
	f.StringVar(&o.png, "png", "", "PNG file for the same")
	f.IntVar(&o.side, "thumbnail", 128, "side of thumbnails, in pixels")
}

func (o *sheetOptions) check() error {
	if o.side < 16 || o.side > 1024 {
		return usagef("--thumbnail is %d, want 16 to 1024 pixels", o.side)
	}
	return nil
}

func (o *sheetOptions) write(answers []answer) error {
	if o.html != "" {
		if err := writeSheetHTML(o.html, answers, o.side); err != nil {
			return errors.WithMessage(err, "--html")
		}
	}
	if o.png != "" {
		c, err := drawSheet(answers, o.side)
		if err == nil {
			err = c.save(o.png)
		}
		return errors.WithMessage(err, "--png")
	}
	return nil
}

// thumbnail reads an image and scales it into a square of side pixels, nil if
// there is none or it cannot be read.
func thumbnail(path string, side int) *image.NRGBA {
	if path == "" {
		return nil
	}
	src, err := pictureOf(path)
	if err != nil {
		return nil
	}
	size := src.Bounds().Size()
	scale := min(1, float64(side)/float64(max(size.X, size.Y)))
	scaled := func(n int) int { return max(1, int(math.Round(scale*float64(n)))) }
	out := image.NewNRGBA(image.Rect(0, 0, scaled(size.X), scaled(size.Y)))
	draw.Draw(out, out.Bounds(), image.White, image.Point{}, draw.Src)
	draw.CatmullRom.Scale(out, out.Bounds(), src, src.Bounds(), draw.Over, nil)
	return out
}

// pictureOf reads an image as it is to be looked at: transparent where it is,
// which a model does not see.
func pictureOf(path string) (image.Image, error) {
	im, err := data.DecodeFile(path, 0) // refuses what is too large
	if err != nil || !strings.EqualFold(filepath.Ext(path), ".png") {
		if err != nil {
			return nil, err
		}
		return im.Std(), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, errors.WithStack(err)
	}
	defer f.Close()
	return png.Decode(f)
}

// Sizes on a sheet, in pixels.
const (
	sheetMargin  = 16
	sheetGap     = 8
	sheetLetters = 13
	sheetHead    = 24
)

// drawSheet draws a block for each query: what was asked, and under it the hits
// with their scores. Many queries stand in two columns.
func drawSheet(answers []answer, side int) (*canvas, error) {
	across, most := 1, 1 // pictures in a line of a block
	for _, a := range answers {
		most = max(most, len(a.Hits)+exampleImages(a))
	}
	across = min(most, max(1, 1280/(side+sheetGap)))
	columns := 1
	if len(answers) > 8 && across == most && 2*across*(side+sheetGap) <= 1600 {
		columns = 2
	}
	wide := max(across*(side+sheetGap), 320/columns)
	tall := side + sheetLetters + 2*sheetGap
	height := func(a answer) int {
		return sheetHead + max(1, (len(a.Hits)+exampleImages(a)+across-1)/across)*tall
	}
	perColumn := (len(answers) + columns - 1) / columns
	highest := 0
	for part := range slices.Chunk(answers, max(1, perColumn)) {
		sum := 0
		for _, a := range part {
			sum += height(a)
		}
		highest = max(highest, sum)
	}
	c, err := newCanvas(columns*(wide+sheetMargin)+sheetMargin, highest+2*sheetMargin, sheetLetters)
	if err != nil {
		return nil, err
	}
	x, y := sheetMargin, sheetMargin
	for i, a := range answers {
		if i > 0 && i%perColumn == 0 {
			x, y = x+wide+sheetMargin, sheetMargin
		}
		c.block(a, x, y, across, side)
		y += height(a)
	}
	return c, nil
}

// block draws a query and its hits, so many across.
func (c *canvas) block(a answer, x, y, across, side int) {
	c.text(x, y+sheetLetters, c.abridge(printable(a.Name), across*(side+sheetGap)), color.Black, false)
	y += sheetHead
	n := 0
	put := func(path, instead string) image.Rectangle {
		at := image.Pt(x+n%across*(side+sheetGap), y+n/across*(side+sheetLetters+2*sheetGap))
		box := image.Rect(0, 0, side, side).Add(at)
		n++
		if im := thumbnail(path, side); im != nil {
			r := im.Bounds()
			draw.Draw(c, r.Add(at).Add(image.Pt(side-r.Dx(), side-r.Dy()).Div(2)), im, image.Point{}, draw.Src)
			return box
		}
		c.fill(box, color.Gray{236})
		c.text(at.X+side/2, at.Y+(side+sheetLetters)/2, c.abridge(printable(instead), side), color.Black, true)
		return box
	}
	for _, t := range a.Query {
		if t.kind == search.Images {
			c.frame(put(t.value, ""), color.RGBA{40, 110, 220, 255})
		}
	}
	for _, h := range a.Hits {
		box := put(h.Image, h.Text)
		c.text(box.Min.X+side/2, box.Max.Y+sheetLetters+2, fmt.Sprintf("%.2f", h.Score), color.Gray{96}, true)
	}
}

// frame draws a line of two pixels around a rectangle.
func (c *canvas) frame(r image.Rectangle, col color.Color) {
	outer := r.Inset(-3)
	for _, side := range []image.Rectangle{
		{outer.Min, image.Pt(outer.Max.X, outer.Min.Y+2)}, {image.Pt(outer.Min.X, outer.Max.Y-2), outer.Max},
		{outer.Min, image.Pt(outer.Min.X+2, outer.Max.Y)}, {image.Pt(outer.Max.X-2, outer.Min.Y), outer.Max},
	} {
		c.fill(side, col)
	}
}

// exampleImages are the images that were asked by.
func exampleImages(a answer) (n int) {
	for _, t := range a.Query {
		if t.kind == search.Images {
			n++
		}
	}
	return n
}

//go:embed search_sheet.html
var sheetHTML string

// sheetQuery is a query on the page.
type sheetQuery struct {
	Name  string
	Asked []template.URL
	Hits  []sheetHit
}

type sheetHit struct {
	search.Hit
	Score, Title string
	Picture      template.URL // "" if there is none
}

// writeSheetHTML writes a page that holds its pictures, whole or not at all.
func writeSheetHTML(path string, answers []answer, side int) error {
	page, err := template.New("sheet").Parse(sheetHTML)
	if err != nil {
		return errors.WithStack(err)
	}
	var queries []sheetQuery
	for _, a := range answers {
		q := sheetQuery{Name: printable(a.Name)}
		for _, t := range a.Query {
			if t.kind == search.Images {
				u, err := pictureURL(thumbnail(t.value, side))
				if err != nil {
					return err
				}
				q.Asked = append(q.Asked, u)
			}
		}
		for _, h := range a.Hits {
			u, err := pictureURL(thumbnail(h.Image, side))
			if err != nil {
				return err
			}
			q.Hits = append(q.Hits, sheetHit{h, fmt.Sprintf("%.3f", h.Score), filepath.Base(h.ID), u})
		}
		queries = append(queries, q)
	}
	return safetensors.WriteAtomic(path, func(w io.Writer) error {
		return errors.Wrap(page.Execute(w, struct {
			Side    int
			Queries []sheetQuery
		}{side, queries}), path)
	})
}

// pictureURL holds a picture: as a JPEG, or a PNG where that is smaller.
func pictureURL(im *image.NRGBA) (template.URL, error) {
	if im == nil {
		return "", nil
	}
	var a, b bytes.Buffer
	if err := jpeg.Encode(&a, im, &jpeg.Options{Quality: 85}); err != nil {
		return "", errors.WithStack(err)
	}
	if err := png.Encode(&b, im); err != nil {
		return "", errors.WithStack(err)
	}
	kind, file := "jpeg", a.Bytes()
	if b.Len() < a.Len() {
		kind, file = "png", b.Bytes()
	}
	return template.URL("data:image/" + kind + ";base64," + base64.StdEncoding.EncodeToString(file)), nil
}
