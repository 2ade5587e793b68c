package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"
)

// run executes the command line args and returns the exit code. Results go to
// stdout; progress, logs and the error to stderr.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintf(stderr, "tessera: %s\n", strings.TrimSpace(err.Error()))
	}
	return exitCode(err)
}

func newRoot() *cobra.Command {
	root := group("tessera", "Multimodal transformers, trained and run in pure Go", `Multimodal transformers, trained and run in pure Go.

Results go to standard output, progress to standard error. The exit code is 0,
1 if the command failed, or 2 if it was called wrongly.`)
	root.Example = `  tessera quickstart
  tessera vit train --data shapes --out runs/shapes
  tessera vit predict --model runs/shapes photo.jpg`
	root.SilenceErrors = true
	root.SilenceUsage = true
	root.SetUsageTemplate(contents)
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommandGroupID("tools")
	chapter := func(id, title string, commands ...*cobra.Command) {
		root.AddGroup(&cobra.Group{ID: id, Title: title + ":"})
		for _, c := range commands {
			c.GroupID = id
		}
		root.AddCommand(commands...)
	}
	chapter("start", "Start here",
		newDoctor(),
		newQuickstart(),
		newVersion(),
	)
	chapter("models", "Models",
		newClip(),
		newDALLE(),
		newFlamingo(),
		newViT(),
		newVQVAE(),
	)
	chapter("search", "Search",
		newSearch(),
	)
	chapter("tools", "Tools",
		newCompletion(),
		newInspect(),
		newVerify(),
	)
	addDryRun(root)
	addConfig(root)
	checkArgs(root)
	completeFlags(root)
	return root
}

// contents is cobra's template, with the commands of a model under its name and
// without what the first line of a help has said already.
const contents = `Usage:{{if .HasAvailableSubCommands}}
  {{.CommandPath}} COMMAND{{else}}
  {{.UseLine}}{{end}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}{{if .HasAvailableSubCommands}}{{$commands := .Commands}}{{if .Groups}}{{range $group := .Groups}}

{{.Title}}{{range $commands}}{{if and (eq .GroupID $group.ID) (or .IsAvailableCommand (eq .Name "help"))}}
  {{rpad .Name .NamePadding}}  {{.Short}}{{if .HasAvailableSubCommands}}
  {{rpad "" .NamePadding}}  {{range .Commands}}{{if .IsAvailableCommand}} {{.Name}}{{end}}{{end}}{{end}}{{end}}{{end}}{{end}}{{else}}

Commands:{{range $commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}}  {{.Short}}{{end}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableSubCommands}}

{{.CommandPath}} COMMAND --help tells more about a command.{{end}}
`

func newViT() *cobra.Command {
	cmd := group("vit", "Classify images with a Vision Transformer",
		"Classify images with a Vision Transformer (arXiv:2010.11929).")
	cmd.AddCommand(newViTTrain(), newViTEval(), newViTPredict(), newViTPatches(), newViTAttention(), newViTConvert())
	return cmd
}

// group returns a command that only holds others.
func group(use, short, long string) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Long:  long,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			var names []string
			for _, c := range cmd.Commands() {
				if c.IsAvailableCommand() {
					names = append(names, c.Name())
				}
			}
			return unknown("command", args[0], names)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
}

// checkArgs makes errors in the arguments of every command below cmd errors of
// use.
func checkArgs(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				if exitCode(err) == exitUsage {
					return err
				}
				return usagef("%s: %v: see %s --help", cmd.CommandPath(), err, cmd.CommandPath())
			}
			return nil
		}
	}
	for _, c := range cmd.Commands() {
		checkArgs(c)
	}
}

// logger writes to the command's standard error, without times: a log is read
// beside the progress it belongs to.
func logger(cmd *cobra.Command) *slog.Logger {
	return slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}
