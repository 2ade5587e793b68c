package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"tessera/vit"
)

func newViTConvert() *cobra.Command {
	layouts := []string{vit.LayoutHF, vit.LayoutTimm, vit.LayoutJAX}
	var to string
	cmd := &cobra.Command{
		Use:   "convert SRC DST",
		Short: "Rewrite a checkpoint in the layout of another library",
		Long: `Rewrite a checkpoint in the layout of another library. The layout of SRC, a
folder or file, is found out by the names of its tensors; DST is a folder, or for
jax an .npz file. The layouts are

  hf     transformers' ViTForImageClassification
  timm   PyTorch Image Models
  jax    vision_transformer and big_vision`,
		Example: `  tessera vit convert runs/shapes runs/shapes-timm --to timm`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if to == "" {
				return usagef("--to is missing, want hf, timm or jax")
			}
			if !slices.Contains(layouts, to) {
				return unknown("layout", to, layouts)
			}
			if err := vit.Convert(args[0], args[1], to); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %s in the layout of %s\n", args[1], args[0], to)
			return err
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "layout of DST: hf, timm or jax")
	return cmd
}
