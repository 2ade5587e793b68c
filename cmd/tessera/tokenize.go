package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"

	"tessera/clip/bpe"
)

func newTokenize() *cobra.Command {
	var o tokenizeOptions
	cmd := &cobra.Command{
		Use:   "tokenize --vocab DIR|--model DIR [TEXT...]",
		Short: "Show the tokens of texts",
		Long: `Show the tokens of texts: ids, one text a line. Without TEXT, the lines of
standard input are the texts.

DIR holds tokenizer.json, vocab.json with merges.txt, or OpenAI's
bpe_simple_vocab_16e6.txt, any of them as .gz too; a model has them beside it.
With --json a line is an object of text, ids and tokens, and the lines of standard
input are JSON strings.

--cases FILE checks the tokenizer instead: FILE is a JSON list of objects of text
and ids, and every text that gives other ids is printed; the exit code is then 1.`,
		Example: `  tessera clip tokenize --vocab testdata/bpe/clip "a photo of a cat"
  tessera clip tokenize --vocab testdata/bpe/clip --length 77 --json "a photo of a cat"
  tessera clip tokenize --vocab testdata/bpe/gpt2 < captions.txt
  tessera clip tokenize --vocab testdata/bpe/clip --cases testdata/bpe/clip/cases.json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := o.load(cmd)
			if err != nil {
				return err
			}
			out := bufio.NewWriter(cmd.OutOrStdout())
			if o.cases != "" {
				if len(args) > 0 {
					return usagef("--cases has texts of its own: leave out %q", args[0])
				}
				err := o.check(out, t)
				if flush := out.Flush(); err == nil {
					err = flush
				}
				return err
			}
			if len(args) > 0 {
				for _, text := range args {
					if err := o.print(out, t, text); err != nil {
						return err
					}
				}
				return out.Flush()
			}
			if err := o.printLines(out, t, cmd.InOrStdin()); err != nil {
				return err
			}
			return out.Flush()
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.vocab, "vocab", "", "folder of the tokenizer")
	f.StringVar(&o.vocab, "model", "", "folder of a model with its tokenizer")
	f.StringVar(&o.cases, "cases", "", "file of texts and ids to check")
	f.StringVar(&o.cleaning, "cleaning", "", "clean as openai or huggingface (default: as the files say)")
	f.IntVar(&o.length, "length", 0, "pad or cut to this many ids")
	f.BoolVar(&o.special, "special", false, "let text that spells a special token stand for it")
	f.BoolVar(&o.json, "json", false, "print JSON lines, and read them")
	return cmd
}

type tokenizeOptions struct {
	vocab, cleaning, cases string
	length                 int
	special, json          bool
}

func (o *tokenizeOptions) load(cmd *cobra.Command) (*bpe.Tokenizer, error) {
	if o.vocab == "" {
		return nil, usagef("tokenize: --vocab is missing: give the folder of a tokenizer")
	}
	if f := cmd.Flags(); f.Changed("vocab") && f.Changed("model") {
		return nil, usagef("--vocab and --model both name a tokenizer: want one of them")
	}
	known := []string{string(bpe.OpenAI), string(bpe.HuggingFace)}
	if o.cleaning != "" && !slices.Contains(known, o.cleaning) {
		return nil, unknown("cleaning", o.cleaning, known)
	}
	if cmd.Flags().Changed("length") && o.length < 1 {
		return nil, usagef("--length is %d, want 1 or more", o.length)
	}
	t, err := bpe.Load(o.vocab)
	if err != nil || o.cleaning == "" {
		return t, err
	}
	return t.WithCleaning(bpe.Cleaning(o.cleaning))
}

func (o *tokenizeOptions) printLines(w io.Writer, t *bpe.Tokenizer, r io.Reader) error {
	in := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := in.ReadString('\n')
		if err == io.EOF && line == "" {
			return nil
		}
		if err != nil && err != io.EOF {
			return errors.Wrap(err, "standard input")
		}
		text := strings.TrimSuffix(line, "\n")
		if o.json {
			if err := json.Unmarshal([]byte(line), &text); err != nil {
				return errors.Wrapf(err, "standard input: line %d: want a JSON string", n)
			}
		}
		if err := o.print(w, t, text); err != nil {
			return err
		}
	}
}

// tokenized is a line of tokenize --json.
type tokenized struct {
	Text   string   `json:"text"`
	IDs    []int    `json:"ids"`
	Tokens []string `json:"tokens"`
}

// encode gives the ids of a text as the flags want them.
func (o *tokenizeOptions) encode(t *bpe.Tokenizer, text string) []int {
	ids := t.Encode(text)
	if o.special {
		ids = t.EncodeSpecial(text)
	}
	if o.length > 0 {
		ids = t.Pad(ids, o.length)
	}
	return ids
}

// check compares the tokenizer with the cases of a file.
func (o *tokenizeOptions) check(w io.Writer, t *bpe.Tokenizer) error {
	text, err := os.ReadFile(o.cases)
	if err != nil {
		return errors.Wrap(err, "--cases")
	}
	var cases []struct {
		Text *string
		IDs  []int
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		return errors.Wrapf(err, "%s: want a list of objects of text and ids", o.cases)
	}
	if len(cases) == 0 {
		return errors.Errorf("%s: there are no cases", o.cases)
	}
	ids, differing := 0, 0
	for i, c := range cases {
		if c.Text == nil || c.IDs == nil {
			return errors.Errorf("%s: case %d lacks text or ids", o.cases, i)
		}
		ids += len(c.IDs)
		if got := o.encode(t, *c.Text); !slices.Equal(got, c.IDs) {
			differing++
			fmt.Fprintf(w, "%q gives %v, want %v\n", *c.Text, got, c.IDs)
		}
	}
	fmt.Fprintf(w, "%d texts, %d ids: %d texts differ\n", len(cases), ids, differing)
	if differing > 0 {
		return errors.Errorf("%d of the %d texts of %s give other ids", differing, len(cases), o.cases)
	}
	return nil
}

func (o *tokenizeOptions) print(w io.Writer, t *bpe.Tokenizer, text string) error {
	r := tokenized{Text: text, IDs: o.encode(t, text), Tokens: []string{}}
	if !o.json {
		ids := make([]string, len(r.IDs))
		for i, id := range r.IDs {
			ids[i] = strconv.Itoa(id)
		}
		_, err := fmt.Fprintln(w, strings.Join(ids, " "))
		return err
	}
	for _, id := range r.IDs {
		token, _ := t.Token(id)
		r.Tokens = append(r.Tokens, token)
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(r)
}
