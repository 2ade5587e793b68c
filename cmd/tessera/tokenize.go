package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
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
		Use:   "tokenize --vocab DIR [TEXT...]",
		Short: "Show the tokens of texts",
		Long: `Show the tokens of texts: ids, one text a line. Without TEXT, the lines of
standard input are the texts.

DIR holds tokenizer.json, vocab.json with merges.txt, or OpenAI's
bpe_simple_vocab_16e6.txt, any of them as .gz too. With --json a line is an
object of text, ids and tokens, and the lines of standard input are JSON
strings.`,
		Example: `  tessera tokenize --vocab testdata/bpe/clip "a photo of a cat"
  tessera tokenize --vocab testdata/bpe/clip --length 77 --json "a photo of a cat"
  tessera tokenize --vocab testdata/bpe/gpt2 < captions.txt`,
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := o.load(cmd)
			if err != nil {
				return err
			}
			out := bufio.NewWriter(cmd.OutOrStdout())
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
	f.StringVar(&o.vocab, "vocab", "", "folder of the tokenizer")
	f.StringVar(&o.cleaning, "cleaning", "", "clean as openai or huggingface (default: as the files say)")
	f.IntVar(&o.length, "length", 0, "pad or cut to this many ids")
	f.BoolVar(&o.special, "special", false, "let text that spells a special token stand for it")
	f.BoolVar(&o.json, "json", false, "print JSON lines, and read them")
	return cmd
}

type tokenizeOptions struct {
	vocab, cleaning string
	length          int
	special, json   bool
}

func (o *tokenizeOptions) load(cmd *cobra.Command) (*bpe.Tokenizer, error) {
	if o.vocab == "" {
		return nil, usagef("tokenize: --vocab is missing: give the folder of a tokenizer")
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

func (o *tokenizeOptions) print(w io.Writer, t *bpe.Tokenizer, text string) error {
	encode := t.Encode
	if o.special {
		encode = t.EncodeSpecial
	}
	r := tokenized{Text: text, IDs: encode(text), Tokens: []string{}}
	if o.length > 0 {
		r.IDs = t.Pad(r.IDs, o.length)
	}
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
