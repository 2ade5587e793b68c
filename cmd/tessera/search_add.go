package main

import (
	"encoding/json"
	"fmt"
	"image"
	"path/filepath"
	"strings"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"

	"tessera/clip/search"
	"tessera/train/data"
)

// searchAddOptions are the flags of "search add".
type searchAddOptions struct {
	searchPlace
	id, image, text string
	meta            []string
}

func newSearchAdd() *cobra.Command {
	var o searchAddOptions
	cmd := &cobra.Command{
		Use:   "add --model DIR --index FILE [--id ID] [--image FILE] [--text TEXT]",
		Short: "Add or replace one item",
		Long: `Add one item: an image, a text, or both, and metadata. An item of the same id is
replaced. Without --id it is the path of the image. The index is made if it does
not exist.

The value of --meta is a number, true, false, a text in quotes or a list if it is
written as in JSON, and else a text.`,
		Example: `  tessera search add --model clip-b32 --index shop.tessera --id 17 --image cat.jpg --text "a grey cat" --meta price=39.9 --meta 'sizes=[38, 39]'`,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	o.bind(f)
	o.bindModel(cmd)
	f.StringVar(&o.id, "id", "", "id of the item (default the path of the image)")
	f.StringVar(&o.image, "image", "", "image file")
	f.StringVar(&o.text, "text", "", "text")
	f.StringArrayVar(&o.meta, "meta", nil, "KEY=VALUE; may be repeated")
	return cmd
}

func (o *searchAddOptions) run(cmd *cobra.Command) error {
	it := search.Item{ID: o.id, Text: o.text}
	switch {
	case o.image == "" && o.text == "":
		return usagef("there is nothing to add: want --image, --text or both")
	case o.id == "" && o.image == "":
		return usagef("--id is missing: a text alone has no other name")
	}
	for _, s := range o.meta {
		key, value, found := strings.Cut(s, "=")
		if !found || key == "" {
			return usagef("--meta %s: want KEY=VALUE", s)
		}
		if it.Meta == nil {
			it.Meta = map[string]any{}
		}
		if _, twice := it.Meta[key]; twice {
			return usagef("--meta %s: the key %q is given twice", s, key)
		}
		it.Meta[key] = metaValue(value)
	}
	m, err := o.embedder(logger(cmd))
	if err != nil {
		return err
	}
	defer m.Close()
	if o.image != "" {
		if it.Image, err = filepath.Abs(o.image); err != nil {
			return errors.Wrap(err, "--image")
		}
		if it.ID == "" {
			it.ID = it.Image
		}
		im, err := data.DecodeFile(it.Image, 0)
		if err != nil {
			return errors.WithMessage(err, "--image")
		}
		rows, err := m.Images(cmd.Context(), []image.Image{im.Std()})
		if err != nil {
			return err
		}
		it.ImageVector = rows[0]
	}
	if o.text != "" {
		rows, err := m.Texts(cmd.Context(), []string{o.text})
		if err != nil {
			return err
		}
		it.TextVector = rows[0]
	}
	index, err := o.open(cmd.Context(), m, creating)
	if err != nil {
		return err
	}
	defer index.Close()
	if err := index.Put(cmd.Context(), []search.Item{it}); err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s is in the index\n", o.name(), it.ID)
	return err
}

// metaValue reads what is written as in JSON, and takes all else for a text.
func metaValue(s string) any {
	var v any
	if json.Unmarshal([]byte(s), &v) != nil || v == nil {
		return s
	}
	return v
}

func newSearchDelete() *cobra.Command {
	var o searchPlace
	cmd := &cobra.Command{
		Use:     "delete --index FILE ID...",
		Short:   "Remove items",
		Long:    "Remove items by their ids. Ids that are not in the index are no error; how many\nwere removed is printed.",
		Example: `  tessera search delete --index shop.tessera 17 18`,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			index, err := o.open(cmd.Context(), nil, writing)
			if err != nil {
				return err
			}
			defer index.Close()
			n, err := index.Delete(cmd.Context(), args)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s of %s items removed\n", o.name(), thousands(n), thousands(len(args)))
			return err
		},
	}
	o.bind(cmd.Flags())
	return cmd
}
