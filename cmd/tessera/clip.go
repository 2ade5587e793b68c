package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"tessera/clip"
)

func newClip() *cobra.Command {
	cmd := group("clip", "Embed images and texts in one space",
		"Embed images and texts in one space with CLIP (arXiv:2103.00020): classify by names\nalone, compare, search.")
	cmd.AddCommand(newClipTrain(), newClipEval(), newClipClassify(), newClipRetrieve(), newClipHeatmap(), newClipEmbed(), newTokenize(), newClipConvert(), newClipBatches())
	return cmd
}

// bindHiddenAct adds the flag for what a bare file of weights does not say.
func bindHiddenAct(cmd *cobra.Command, act *string) {
	cmd.Flags().StringVar(act, "hidden-act", "", "activation of weights in OpenAI's layout without a configuration: quick_gelu (OpenAI, MetaCLIP, DFN) or gelu (LAION)")
}

func newClipConvert() *cobra.Command {
	layouts := []string{clip.LayoutHF, clip.LayoutOpenAI}
	var to, act string
	cmd := &cobra.Command{
		Use:   "convert SRC DST",
		Short: "Rewrite a checkpoint in the layout of another library",
		Long: `Rewrite a checkpoint in the layout of another library. SRC is a folder or a file
of weights: safetensors, or a zip file of PyTorch (.pt, .bin), which is read
without running what it holds. Its layout is found out by the names of its
tensors; DST is a folder. The layouts are

  hf       transformers' CLIPModel
  openai   openai/CLIP and open_clip`,
		Example: `  tessera clip convert ViT-B-32.pt ViT-B-32 --to hf`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if to == "" {
				return usagef("--to is missing, want hf or openai")
			}
			if !slices.Contains(layouts, to) {
				return unknown("layout", to, layouts)
			}
			if err := clip.Convert(args[0], args[1], to, clip.LoadOptions{HiddenAct: act}); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %s in the layout of %s\n", args[1], args[0], to)
			return err
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "layout of DST: hf or openai")
	bindHiddenAct(cmd, &act)
	return cmd
}
