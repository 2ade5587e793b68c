package main

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"
	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/train/data"
	"tessera/vit"
)

// attentionView says which attention to show. Without a layer it is the rollout.
type attentionView struct {
	layer, head string // a number from 0, "all", or "mean" of heads; "" by default
	rollout     bool
}

func newViTAttention() *cobra.Command {
	var (
		v        attentionView
		dir, out string
	)
	cmd := &cobra.Command{
		Use:   "attention IMAGE --model DIR -o FILE.png",
		Short: "Draw what a classifier attends to",
		Long: `Draw the attention of the class token, or of the mean of the patches in a model
that pools them, as a heat map over the image.

The default is attention rollout (arXiv:2005.00928) through all layers. --layer and
--head show the attention of single layers and heads, counted from 0; "all" draws
a grid of them. The colors of every map run from its own least value to its own
greatest.`,
		Example: `  tessera vit attention photo.jpg --model runs/shapes -o rollout.png
  tessera vit attention photo.jpg --model runs/shapes --layer all --head all -o heads.png`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case dir == "":
				return usagef("--model is missing: name the folder of a model")
			case out == "":
				return usagef("--out is missing: name the PNG file to write")
			case v.rollout && (v.layer != "" || v.head != ""):
				return usagef("--rollout joins all layers and heads: leave out --layer and --head")
			}
			c, err := loadClassifier(dir, vit.LoadOptions{}, logger(cmd))
			if err != nil {
				return err
			}
			layers, heads, err := v.pick(c.Layers, c.Heads)
			if err != nil {
				return err
			}
			im, err := data.DecodeFile(args[0], 0)
			if err != nil {
				return err
			}
			if im, err = c.input.Apply(im); err != nil {
				return err
			}
			a, err := c.attend(im)
			if err != nil {
				return err
			}
			picture, err := drawAttention(im, a, layers, heads)
			if err != nil {
				return err
			}
			if err := picture.save(out); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", out, a.caption(layers, heads))
			return err
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&dir, "model", "", "folder of the model")
	f.BoolVar(&v.rollout, "rollout", false, "attention through all layers (the default)")
	f.StringVar(&v.layer, "layer", "", "layer, from 0, or all (the last, if only --head is given)")
	f.StringVar(&v.head, "head", "", "head, from 0, or mean or all (mean, if only --layer is given)")
	f.StringVarP(&out, "out", "o", "", "PNG file to write")
	return cmd
}

// meanHead stands for the mean of all heads.
const meanHead = -1

// pick lists the layers and heads to show of a model with L layers of H heads;
// no layers mean the rollout.
func (v attentionView) pick(L, H int) (layers, heads []int, err error) {
	if v.layer == "" && v.head == "" {
		return nil, nil, nil
	}
	one := func(flag, s string, n int, words string) ([]int, error) {
		i, err := strconv.Atoi(s)
		if err != nil || i < 0 || i >= n {
			return nil, usagef("%s is %q, want 0 to %d%s", flag, s, n-1, words)
		}
		return []int{i}, nil
	}
	switch v.layer {
	case "":
		layers = []int{L - 1}
	case "all":
		layers = upTo(L)
	default:
		layers, err = one("--layer", v.layer, L, " or all")
	}
	if err != nil {
		return nil, nil, err
	}
	switch v.head {
	case "", "mean":
		heads = []int{meanHead}
	case "all":
		heads = upTo(H)
	default:
		heads, err = one("--head", v.head, H, ", mean or all")
	}
	return layers, heads, err
}

func upTo(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// attention is what a model made of one image.
type attention struct {
	maps  [][]float32 // by layer: (H, T, T)
	heads int         // H
	side  int         // patches on a side; T is 1 + side²
	mean  bool        // the model pools patches, not the class token
	best  candidate   // the most probable class
}

// attend runs the model on a preprocessed image.
func (c *classifier) attend(im *data.Image) (*attention, error) {
	C, S := c.Channels, c.ImageSize
	pixels := make([]float32, C*S*S)
	if err := c.input.Normalize(pixels, im); err != nil {
		return nil, err
	}
	name := func(layer int) string { return fmt.Sprint("attention.", layer) }
	p, err := graph.Compile(func(b *graph.Builder) {
		x := b.Input("image", 1, C, S, S)
		for i, a := range c.Attentions(b, x) {
			b.Output(name(i), a)
		}
		b.Output("logits", c.Logits(b, x))
	}, nil)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	if err := p.Run(graph.Values{"image": tensor.New(tensor.WithShape(1, C, S, S), tensor.WithBacking(pixels))}); err != nil {
		return nil, err
	}
	a := &attention{
		heads: c.Heads, side: c.Grid(), mean: c.Pooling == "mean",
		best: c.rank(slices.Clone(p.Output("logits").Float32s()), 1)[0],
	}
	for i := range c.Layers {
		a.maps = append(a.maps, slices.Clone(p.Output(name(i)).Float32s()))
	}
	return a, nil
}

// query is the token whose attention is shown, as weights (T): the class token,
// or the patches in equal parts.
func (a *attention) query() []float64 {
	q := make([]float64, 1+a.side*a.side)
	if !a.mean {
		q[0] = 1
		return q
	}
	for i := 1; i < len(q); i++ {
		q[i] = 1 / float64(len(q)-1)
	}
	return q
}

// attended is q·A, how much the tokens weighted by q (T) attend to each token in
// a layer and one head or the mean of heads.
func (a *attention) attended(q []float64, layer, head int) []float64 {
	T := len(q)
	lo, hi := head, head+1
	if head == meanHead {
		lo, hi = 0, a.heads
	}
	out := make([]float64, T)
	for h := lo; h < hi; h++ {
		for i, w := range q {
			if w == 0 {
				continue
			}
			w /= float64(hi - lo)
			for j, p := range a.maps[layer][(h*T+i)*T:][:T] {
				out[j] += w * float64(p)
			}
		}
	}
	return out
}

// rollout follows attention to the input (arXiv:2005.00928): with the mean A of
// the heads, a layer passes on (A + I)/2, the residual counting as much as the
// attention, and layers multiply. Only q's row of the product is needed, so the
// vector goes through the layers from the last to the first.
func (a *attention) rollout() []float64 {
	q := a.query()
	for layer := len(a.maps) - 1; layer >= 0; layer-- {
		next := a.attended(q, layer, meanHead)
		for i := range next {
			next[i] = (next[i] + q[i]) / 2 // rows of A sum to 1, and so does this
		}
		q = next
	}
	return q
}

// heatMap is the attention to the patches, from the least, lo, at 0 to the
// greatest, hi, at 1.
type heatMap struct {
	cells  []float64 // side²
	lo, hi float64   // shares of all attention
}

// patches takes the heat map of the patches from the weights of all tokens (T).
func patches(tokens []float64) (*heatMap, error) {
	cells := slices.Clone(tokens[1:])
	m := &heatMap{cells, slices.Min(cells), slices.Max(cells)}
	if !(m.lo >= 0 && m.hi <= 1.01) {
		return nil, errors.New("the attention is not a number: are the weights of the model in order?")
	}
	for i := range cells {
		if cells[i] -= m.lo; m.hi > m.lo {
			cells[i] /= m.hi - m.lo
		}
	}
	return m, nil
}

func (a *attention) caption(layers, heads []int) string {
	who := "class token"
	if a.mean {
		who = "mean of the patches"
	}
	what := fmt.Sprintf("rollout through %d layers", len(a.maps))
	switch {
	case len(layers) == 1 && len(heads) == 1:
		what = "attention in " + layerName(layers[0]) + ", " + headName(heads[0])
	case len(layers) > 0:
		what = "attention by layer and head"
	}
	return fmt.Sprintf("%s, %s; %s, %.1f %%", who, what, a.best.Label, 100*a.best.Probability)
}

func layerName(i int) string { return fmt.Sprint("layer ", i) }

func headName(i int) string {
	if i == meanHead {
		return "mean of heads"
	}
	return fmt.Sprint("head ", i)
}
