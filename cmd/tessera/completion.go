package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tessera/clip"
	"tessera/clip/bpe"
	"tessera/clip/search"
	"tessera/dalle"
	"tessera/vit"
	"tessera/vqvae"
)

func newCompletion() *cobra.Command {
	shells := []string{"bash", "fish", "powershell", "zsh"}
	return &cobra.Command{
		Use:   "completion bash|fish|powershell|zsh",
		Short: "Print a script that completes commands and flags in a shell",
		Long: `Print a script by which a shell completes commands, flags, the values of flags
that have only few, folders and files. The program must be found as tessera, as
after go install ./cmd/tessera. To have it in every new shell:

  bash         tessera completion bash > ~/.local/share/bash-completion/completions/tessera
               (needs the package bash-completion)
  fish         tessera completion fish > ~/.config/fish/completions/tessera.fish
  zsh          tessera completion zsh > "${fpath[1]}/_tessera"
               (needs autoload -U compinit; compinit in ~/.zshrc)
  powershell   tessera completion powershell | Out-String | Invoke-Expression
               in the profile`,
		Example: `  tessera completion bash
  tessera completion zsh`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := cobra.ExactArgs(1)(cmd, args); err != nil {
				return err
			}
			if !slices.Contains(shells, args[0]) {
				return unknown("shell", args[0], shells)
			}
			return nil
		},
		ValidArgs:             shells,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			root, w := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(w, true)
			case "fish":
				return root.GenFishCompletion(w, true)
			case "zsh":
				return root.GenZshCompletion(w)
			}
			return root.GenPowerShellCompletionWithDesc(w)
		},
	}
}

// completeFlags tells shells the values of the flags of cmd and all commands
// below it: those that are few, folders, and nothing for numbers. What is left
// may be a file.
func completeFlags(cmd *cobra.Command) {
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		complete := cobra.NoFileCompletions
		values, few := flagValues(cmd.CommandPath(), f.Name)
		switch {
		case few && f.Name == "data": // a prefix of what is typed on, or else a folder
			complete = cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoSpace)
		case few:
			complete = cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)
		case strings.HasPrefix(f.Usage, "folder") && !strings.HasPrefix(f.Usage, "folder or"):
			complete = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs)
		case strings.HasPrefix(f.Value.Type(), "string"):
			return
		}
		// It fails only for a flag that has completions already.
		_ = cmd.RegisterFlagCompletionFunc(f.Name, complete)
	})
	for _, c := range cmd.Commands() {
		completeFlags(c)
	}
}

// flagValues are the values that a flag may have, where they are few.
func flagValues(command, flag string) (values []string, few bool) {
	for _, v := range []struct {
		command, flag string // command: the beginning of its path
		values        []string
	}{
		{"tessera search", "data", []string{"shapes"}},
		{"tessera clip", "data", append(slices.Clone(pairKinds), dataKinds...)},
		{"tessera", "data", dataKinds},
		{"tessera clip", "preset", clip.Presets()},
		{"tessera vit", "preset", vit.Presets()},
		{"tessera vqvae", "preset", vqvae.Presets()},
		{"tessera clip eval", "split", []string{"train", "val", "test", "all"}},
		{"tessera", "split", []string{"train", "val", "test"}},
		{"tessera clip", "loss", []string{"infonce", "sigmoid"}},
		{"tessera clip", "lock", []string{"image", "text"}},
		{"tessera clip", "templates", clip.TemplateSets()},
		{"tessera clip", "hidden-act", []string{"quick_gelu", "gelu"}},
		{"tessera clip tokenize", "cleaning", []string{string(bpe.OpenAI), string(bpe.HuggingFace)}},
		{"tessera clip convert", "to", []string{clip.LayoutHF, clip.LayoutOpenAI}},
		{"tessera vit convert", "to", []string{"hf", "timm", "jax"}},
		{"tessera vit", "schedule", []string{"cosine", "constant", "cooldown"}},
		{"tessera vit", "pooling", []string{"cls", "mean"}},
		{"tessera", "augment", augmentations},
		{"tessera vqvae", "quantizer", vqvae.Quantizers()},
		{"tessera search duplicates", "in", []string{string(search.Images), string(search.Texts)}},
		{"tessera search", "in", []string{string(search.Images), string(search.Texts), "both"}},
		{"tessera search", "fusion", fusions()},
		{"tessera search", "precision", []string{string(search.Float32), string(search.Int8)}},
		{"tessera search", "hidden-act", []string{"quick_gelu", "gelu"}},
		{"tessera dalle", "positions", []string{dalle.Learned, dalle.Axial}},
	} {
		if v.flag == flag && strings.HasPrefix(command, v.command) {
			return v.values, true
		}
	}
	return nil, false
}
