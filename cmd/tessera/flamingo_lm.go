package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"
	"gorgonia.org/tensor"

	"tessera/clip/bpe"
	"tessera/flamingo/gpt2"
	"tessera/graph"
	"tessera/train"
	"tessera/train/data"
)

func newFlamingoPretrainLM() *cobra.Command {
	var o lmSettings
	cmd := &cobra.Command{
		Use:   "pretrain-lm --out DIR",
		Short: "Train a small language model on text",
		Long: `Train a small GPT-2 on the text files of --text, each a document, and a tokenizer
first, unless --vocab names one. Without files, the text is what "shapes" says
about its images: captions, questions and answers, and what colors are called by
made-up words.

DIR receives the model (config.json, model.safetensors), the tokenizer
(vocab.json, merges.txt), metrics.jsonl, curves.svg and, in checkpoints, what
--resume needs.`,
		Example: `  tessera flamingo pretrain-lm --out runs/language
  tessera flamingo pretrain-lm --out runs/language --text book.txt,notes.txt --layers 6 --width 256 --context 512
  tessera flamingo pretrain-lm --out runs/language --resume`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			checkpoint, err := o.prepare(cmd.Flags(), func() error { return nil }, o.check)
			if err != nil {
				return err
			}
			r := &lmRun{lmSettings: &o, fit: newFit(cmd, &o.fitting, "GPT-2")}
			return r.run(cmd.Context(), cmd.OutOrStdout(), checkpoint)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	o.bindOut(f)
	f.StringSliceVar(&o.files, "text", nil, "text files to train on, instead of the text about shapes")
	f.StringVar(&o.vocab, "vocab", "", "folder of a tokenizer of GPT-2's kind, instead of a new one made from the text")
	f.IntVar(&o.vocabSize, "vocab-size", 1024, "tokens of a new tokenizer, at most; there are 257 for bytes and the end of a text")
	f.IntVar(&o.holdOut, "hold-out", 0, "pairs of color and shape that the text about shapes leaves out")
	f.IntVar(&o.width, "width", 64, "width of the model")
	f.IntVar(&o.layers, "layers", 4, "blocks of the model")
	f.IntVar(&o.heads, "heads", 4, "heads of attention")
	f.IntVar(&o.context, "context", 128, "tokens of a text, at most")
	f.Float64Var(&o.dropout, "dropout", 0, "probability of zeroing a unit")
	o.fitting = fitting{batch: 32, lr: 3e-3, warmup: 0.05, weightDecay: 0.1, betas: []float64{0.9, 0.98}, saveEvery: 500}
	f.IntVar(&o.steps, "steps", 1200, "optimizer steps")
	o.fitting.bind(f, "texts of a batch", "only at the end")
	return cmd
}

// lmSettings are the flags of "flamingo pretrain-lm".
type lmSettings struct {
	fitting
	files                                             []string
	vocab                                             string
	vocabSize, holdOut, width, layers, heads, context int
	dropout                                           float64
}

func (o *lmSettings) check() error {
	err := within(
		limited{"steps", float64(o.steps), o.steps >= 1, "1 or more"},
		limited{"vocab-size", float64(o.vocabSize), o.vocabSize >= 257 && o.vocabSize < 1<<20, "257 to 1048575"},
		limited{"hold-out", float64(o.holdOut), o.holdOut >= 0, "0 or more"},
		limited{"width", float64(o.width), o.width >= 1 && o.width <= 1<<16, "1 to 65536"},
		limited{"layers", float64(o.layers), o.layers >= 1 && o.layers <= 1024, "1 to 1024"},
		limited{"heads", float64(o.heads), o.heads >= 1 && o.width%max(1, o.heads) == 0, "a divisor of --width"},
		limited{"context", float64(o.context), o.context >= 2 && o.context <= 1<<16, "2 to 65536"},
		aProbability("dropout", o.dropout),
	)
	if err != nil {
		return err
	}
	return o.fitting.check()
}

// lmRun is the training of a language model.
type lmRun struct {
	*lmSettings
	fit    *fit
	tokens *bpe.Tokenizer
	model  *gpt2.Model
	texts  stream // to train with
	held   stream // for validation
}

func (r *lmRun) run(ctx context.Context, w io.Writer, checkpoint string) error {
	if err := r.open(checkpoint); err != nil {
		return err
	}
	r.fit.trainer.Model, r.fit.trainer.Data = gpt2.Objective{Model: r.model, Tokens: r.context}, r.windows
	r.fit.save, r.fit.validate = r.write, r.measure
	if err := r.fit.run(ctx, checkpoint); err != nil {
		return err
	}
	if err := r.write(r.out); err != nil {
		return err
	}
	result, err := r.measure(ctx)
	if err != nil {
		return err
	}
	loss := result.Metrics["loss"]
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "validation NLL\t%.4f nats/token\t(%s tokens, perplexity %.2f)\n", loss, thousands(len(r.held)), math.Exp(loss))
	fmt.Fprintf(t, "training text\t%s tokens of %s\n", thousands(len(r.texts)), thousands(r.tokens.Size()))
	fmt.Fprintf(t, "parameters\t%s\n", thousands(r.model.Params().Size()))
	r.fit.tell(t)
	fmt.Fprintf(t, "next\ttessera flamingo train --language %s --vision … --data … --out …\n", r.out)
	return t.Flush()
}

// open reads the text and makes tokenizer and model, or loads those of a
// checkpoint.
func (r *lmRun) open(checkpoint string) error {
	documents, held, err := r.documents()
	if err != nil {
		return err
	}
	switch {
	case checkpoint != "":
		r.tokens, err = bpe.Load(checkpoint)
	case r.vocab != "":
		r.tokens, err = bpe.Load(r.vocab)
	default:
		r.tokens, err = bpe.Train(slices.Values(documents), r.vocabSize, "")
	}
	if err != nil {
		return err
	}
	if r.tokens.Cleaning() != "" {
		return usagef("--vocab %s: a tokenizer of CLIP's kind, want GPT-2's", r.vocab)
	}
	r.texts, r.held = newStream(r.tokens, documents), newStream(r.tokens, held)
	if len(held) == 0 { // the end of the text
		n := max(r.context, len(r.texts)/20)
		if len(r.texts) > n {
			r.texts, r.held = r.texts[:len(r.texts)-n], r.texts[len(r.texts)-n:]
		}
	}
	if min(len(r.texts), len(r.held)) < r.context {
		return errors.Errorf("%d tokens to train with and %d for validation, want %d of each: give more text or a smaller --context", len(r.texts), len(r.held), r.context)
	}
	if checkpoint != "" {
		r.model, err = gpt2.Load(checkpoint, gpt2.LoadOptions{})
		return err
	}
	c := gpt2.Small()
	c.VocabSize, c.Context, c.Width, c.Layers, c.Heads = r.tokens.Size(), r.context, r.width, r.layers, r.heads
	c.BeginID, c.EndID = r.tokens.Start(), r.tokens.End()
	c.EmbedDropout, c.AttentionDropout, c.ResidualDropout = r.dropout, r.dropout, r.dropout
	if r.width < 256 {
		c.InitializerRange = 0.05 // small models learn faster from larger values
	}
	r.model, err = gpt2.New(c, graph.Seed(r.seed))
	return err
}

// documents are the texts to train with and, if there are some apart, those for
// validation.
func (r *lmRun) documents() (all, held []string, err error) {
	if len(r.files) == 0 {
		seen, _, err := data.HoldOut(r.holdOut, r.seed)
		if err != nil {
			return nil, nil, usagef("--hold-out %d: %v", r.holdOut, err)
		}
		if r.holdOut == 0 {
			seen = nil
		}
		s := data.Shapes{N: shapesTrain, Size: data.MinShapeSize, Seed: shapesSeed, Pairs: seen}
		v := data.Shapes{N: shapesTrain / 20, Size: data.MinShapeSize, Seed: shapesValSeed, Pairs: seen}
		return shapeTexts(s), shapeTexts(v), nil
	}
	if r.holdOut > 0 {
		return nil, nil, usagef("--hold-out %d: only shapes have pairs of color and shape to hold out", r.holdOut)
	}
	for _, path := range r.files {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, nil, errors.WithStack(err)
		}
		all = append(all, string(text))
	}
	return all, nil, nil
}

// shapeTexts is what is said about shapes: every ask with its answer, and what colors
// are called by made-up names, which mean the same to the end of their text.
func shapeTexts(s data.Shapes) (texts []string) {
	known, fresh := data.NamingWords()
	words := slices.Concat(known, fresh)
	for i := range s.N {
		rng := rand.New(rand.NewPCG(s.Seed, uint64(i)))
		texts = append(texts, data.NewNaming(words, rng).Text(10, rng))
		texts = append(texts, captionPrompt+" "+s.Spec(i).Caption())
		for _, q := range s.Questions(i) {
			texts = append(texts, questionPrompt(q.Text)+" "+q.Answer)
		}
	}
	return texts
}

// write saves model and tokenizer.
func (r *lmRun) write(dir string) error {
	if err := r.model.Save(dir); err != nil {
		return err
	}
	return r.tokens.Save(dir)
}

// stream is texts one after another, an end token after each.
type stream []float32

func newStream(t *bpe.Tokenizer, texts []string) stream {
	var s stream
	known := map[string][]int{} // texts repeat
	for _, text := range texts {
		ids, ok := known[text]
		if !ok {
			ids = append(t.Encode(text), t.End())
			known[text] = ids
		}
		for _, id := range ids {
			s = append(s, float32(id))
		}
	}
	return s
}

// windows yields batches of pieces of the text, from the given step on, without
// end. A batch is a function of the seed and its step.
func (r *lmRun) windows(from int) iter.Seq2[data.Minibatch, error] {
	return func(yield func(data.Minibatch, error) bool) {
		for step := from; ; step++ {
			rng := rand.New(rand.NewPCG(r.seed, uint64(step)))
			starts := make([]int, r.batch)
			for i := range starts {
				starts[i] = rng.IntN(len(r.texts) - r.context + 1)
			}
			if !yield(r.texts.batch(starts, r.context, step), nil) {
				return
			}
		}
	}
}

// batch is the pieces of a length from the given places on.
func (s stream) batch(starts []int, length, step int) data.Minibatch {
	ids := make([]float32, 0, len(starts)*length)
	for _, at := range starts {
		ids = append(ids, s[at:at+length]...)
	}
	return data.Minibatch{Index: starts, Step: step, Batch: data.Batch{
		"ids": tensor.New(tensor.WithShape(len(starts), length), tensor.WithBacking(ids)),
	}}
}

// measure is the loss of the text for validation, piece by piece.
func (r *lmRun) measure(ctx context.Context) (train.Result, error) {
	epoch := func(yield func(data.Minibatch, error) bool) {
		var starts []int
		for at := 0; at+r.context <= len(r.held); at += r.context {
			starts = append(starts, at)
		}
		for rows := range slices.Chunk(starts, r.batch) {
			if !yield(r.held.batch(rows, r.context, 0), nil) {
				return
			}
		}
	}
	return train.Evaluate(ctx, train.Objective(gpt2.Objective{Model: r.model, Tokens: r.context}), epoch, r.batch)
}
