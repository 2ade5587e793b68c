package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestConfig(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		args       []string
		epochs     int
		rate       float64
		templates  []string
		err        string
	}{
		{"YAML sets flags", "epochs: 7\nlr: 1e-3\ntemplate: [\"a {}\", \"b, {}\"]\n", nil, 7, 1e-3, []string{"a {}", "b, {}"}, ""},
		{"JSON sets flags", `{"epochs": 7, "lr": 0.5, "template": "a {}"}`, nil, 7, 0.5, []string{"a {}"}, ""},
		{"flags come first", "epochs: 7\ntemplate: [a]\n", []string{"--epochs", "3", "--template", "b"}, 3, 1, []string{"b"}, ""},
		{"an empty file sets nothing", "# nothing\n", nil, 1, 1, nil, ""},
		{"unknown keys suggest the nearest", "lr: 1\nepoch: 7\n", nil, 0, 0, nil, `line 2: unknown key "epoch": did you mean "epochs"?`},
		{"a file does not name another", "config: b.yaml\n", nil, 0, 0, nil, `unknown key "config"`},
		{"a value must fit", "epochs: many\n", nil, 0, 0, nil, `line 1: epochs: `},
		{"one value is wanted", "epochs: [1, 2]\n", nil, 0, 0, nil, "epochs: a list, want one value"},
		{"no nesting", "epochs: {a: 1}\n", nil, 0, 0, nil, "epochs: want a text, a number"},
		{"no value", "epochs:\n", nil, 0, 0, nil, "epochs: want a text, a number"},
		{"twice", "epochs: 1\nepochs: 2\n", nil, 0, 0, nil, "line 2: epochs is there twice"},
		{"not a mapping", "- epochs\n", nil, 0, 0, nil, "or a JSON object"},
		{"not YAML", "epochs: [\n", nil, 0, 0, nil, "yaml"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "run.yaml")
			if err := os.WriteFile(file, []byte(tt.file), 0o666); err != nil {
				t.Fatal(err)
			}
			root := &cobra.Command{Use: "tessera", SilenceErrors: true, SilenceUsage: true}
			cmd := &cobra.Command{Use: "train", RunE: func(*cobra.Command, []string) error { return nil }}
			epochs := cmd.Flags().Int("epochs", 1, "")
			rate := cmd.Flags().Float64("lr", 1, "")
			templates := cmd.Flags().StringArray("template", nil, "")
			root.AddCommand(cmd)
			addConfig(root)
			root.SetArgs(append([]string{"train", "--config", file}, tt.args...))
			err := root.Execute()
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || !strings.Contains(err.Error(), file) || exitCode(err) != exitUsage {
					t.Errorf("error %v, want one of use with %q and the file", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if *epochs != tt.epochs || *rate != tt.rate || !slices.Equal(*templates, tt.templates) {
				t.Errorf("%d epochs, rate %g, templates %q; want %d, %g, %q", *epochs, *rate, *templates, tt.epochs, tt.rate, tt.templates)
			}
			if c := cmd.Flags().Lookup("epochs").Changed; c != strings.Contains(tt.file, "epochs") {
				t.Errorf("epochs was given: %t", c)
			}
		})
	}
}
