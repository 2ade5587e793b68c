package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"tessera/graph/npz"
	"tessera/graph/safetensors"
	"tessera/vit"
)

func newInspect() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "inspect DIR|FILE",
		Short: "List the tensors of a checkpoint",
		Long: `List the tensors of a checkpoint as they are stored: names, shapes, types and
sizes, and for a vit the operations that one image takes, counting a
multiply-add as two. Only headers are read.`,
		Example: `  tessera inspect testdata/vit/tiny
  tessera inspect runs/shapes/model.safetensors --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := inspect(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), r)
			}
			return r.print(cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// inspection is what the headers of a checkpoint tell.
type inspection struct {
	Path     string         `json:"path"`
	Tensors  []storedTensor `json:"tensors"`
	Elements int            `json:"elements"`
	Bytes    int64          `json:"bytes"`
	Model    *modelFacts    `json:"model,omitempty"`
}

type storedTensor struct {
	Name     string `json:"name"`
	Dtype    string `json:"dtype"` // as safetensors spells it; empty in an .npz file
	Shape    []int  `json:"shape"`
	Elements int    `json:"elements"`
	Bytes    int64  `json:"bytes"`
}

type modelFacts struct {
	Type    string `json:"type"`
	Image   []int  `json:"image"`  // C, S, S
	Tokens  int    `json:"tokens"` // the class token included
	Classes int    `json:"classes"`
	FLOPs   int64  `json:"flops"` // of one image, forward
}

func inspect(path string) (*inspection, error) {
	r := &inspection{Path: path, Tensors: []storedTensor{}}
	var err error
	if strings.HasSuffix(path, ".npz") {
		err = r.listArrays(path)
	} else {
		err = r.listTensors(path)
	}
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(r.Tensors, func(a, b storedTensor) int { return compareNames(a.Name, b.Name) })
	for _, t := range r.Tensors {
		r.Elements += t.Elements
		r.Bytes += t.Bytes
	}
	if !isViT(path) {
		return r, nil // tensors of anything else can be listed all the same
	}
	c, err := vit.ReadConfig(filepath.Join(path, "config.json"))
	if err != nil {
		return nil, err
	}
	r.Model = &modelFacts{
		Type: "vit", Image: []int{c.Channels, c.ImageSize, c.ImageSize},
		Tokens: c.Tokens(), Classes: c.Classes(), FLOPs: c.FLOPs(),
	}
	return r, nil
}

// isViT tells whether the config.json in dir, if any, names a vit.
func isViT(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, "config.json"))
	var c struct {
		ModelType string `json:"model_type"`
	}
	return err == nil && json.Unmarshal(text, &c) == nil && c.ModelType == "vit"
}

func (r *inspection) listTensors(path string) error {
	f, err := safetensors.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, name := range f.Names() {
		info, _ := f.Info(name)
		r.Tensors = append(r.Tensors, storedTensor{
			Name: name, Dtype: string(info.Dtype), Shape: info.Shape,
			Elements: info.Size(), Bytes: (int64(info.Size())*int64(info.Dtype.Bits()) + 7) / 8,
		})
	}
	return nil
}

// listArrays counts four bytes for an element: whatever an .npz file stores is
// read as float32.
func (r *inspection) listArrays(path string) error {
	f, err := npz.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, name := range f.Names() {
		shape, _ := f.Shape(name)
		n := 1
		for _, d := range shape {
			n *= d
		}
		r.Tensors = append(r.Tensors, storedTensor{Name: name, Shape: shape, Elements: n, Bytes: 4 * int64(n)})
	}
	return nil
}

func (r *inspection) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "tensor\tdtype\tshape\telements\tbytes")
	for _, s := range r.Tensors {
		shape := strings.Trim(strings.ReplaceAll(fmt.Sprint(s.Shape), " ", "×"), "[]")
		fmt.Fprintf(t, "%s\t%s\t(%s)\t%s\t%s\n", s.Name, s.Dtype, shape, thousands(s.Elements), thousands(int(s.Bytes)))
	}
	fmt.Fprintf(t, "total, %d tensors\t\t\t%s\t%s\n", len(r.Tensors), thousands(r.Elements), thousands(int(r.Bytes)))
	if err := t.Flush(); err != nil {
		return err
	}
	if m := r.Model; m != nil {
		_, err := fmt.Fprintf(w, "%s: images of %d×%d pixels in %d channels, %d tokens, %d classes, %.4g GFLOP per image\n",
			m.Type, m.Image[2], m.Image[1], m.Image[0], m.Tokens, m.Classes, float64(m.FLOPs)/1e9)
		return err
	}
	return nil
}

// compareNames orders names by their bytes, but runs of digits as numbers:
// layer.2 comes before layer.10.
func compareNames(a, b string) int {
	for a != "" && b != "" {
		m, n := digits(a), digits(b)
		if m > 0 && n > 0 {
			x, y := strings.TrimLeft(a[:m], "0"), strings.TrimLeft(b[:n], "0")
			if len(x) != len(y) {
				return len(x) - len(y)
			}
			if c := strings.Compare(x, y); c != 0 {
				return c
			}
			a, b = a[m:], b[n:]
			continue
		}
		if a[0] != b[0] {
			return int(a[0]) - int(b[0])
		}
		a, b = a[1:], b[1:]
	}
	return len(a) - len(b)
}

// digits counts the digits that s begins with.
func digits(s string) int {
	n := 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	return n
}
