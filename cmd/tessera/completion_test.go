package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "fish", "powershell", "zsh"} {
		if out := ok(t, "completion", shell); !strings.Contains(out, "tessera") || strings.Count(out, "\n") < 20 {
			t.Errorf("%s: %d bytes", shell, len(out))
		}
	}
	for want, args := range map[string][]string{
		`did you mean "bash"`: {"completion", "bahs"},
		"accepts 1 arg":       {"completion"},
	} {
		if code, _, errs := tessera(t, args...); code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("%v: exit code %d, %s", args, code, errs)
		}
	}
}

func TestComplete(t *testing.T) {
	for _, tt := range []struct {
		typed string
		want  string // lines, the last for the shell
	}{
		{"vers", "version\tTell the version and what of this processor is used\n:4"},
		{"clip train --preset b", "b32\nb16\n:4"},
		{"vit train --preset b", "b16\nb32\n:4"},
		{"clip train --data emo", "emoji\n:2"},
		{"vit train --data emo", ":2"},
		{"clip eval --split a", "all\n:4"},
		{"search query --fusion cen", "centred\n:4"},
		{"search eval --data ", "shapes\n:2"},
		{"search duplicates --in ", "image\ntext\n:4"},
		{"search serve --precision i", "int8\n:4"},
		{"vit train --batch ", ":4"},
		{"vit train --out ", ":16"},
		{"vit predict --model x ", ":0"},
		{"completion z", "zsh\n:4"},
	} {
		out := ok(t, append([]string{"__complete"}, strings.Split(tt.typed, " ")...)...)
		var lines []string
		last := tt.typed[strings.LastIndexByte(tt.typed, ' ')+1:]
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, last) || strings.HasPrefix(line, ":") {
				lines = append(lines, strings.TrimSpace(line))
			}
		}
		if got := strings.Join(lines, "\n"); got != tt.want {
			t.Errorf("%q is completed by\n%s\nwant\n%s", tt.typed, got, tt.want)
		}
	}
}

// TestFlagValues wants the values that shells offer to be those of flags.
func TestFlagValues(t *testing.T) {
	used := map[string]bool{}
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			values, few := flagValues(cmd.CommandPath(), f.Name)
			if !few {
				return
			}
			used[f.Name] = true
			for _, v := range values {
				if f.Name == "preset" || f.Name == "data" {
					continue // the help of presets names the data set that chooses one
				}
				if !strings.Contains(f.Usage, v) {
					t.Errorf("%s: the help of --%s does not tell of %q: %s", cmd.CommandPath(), f.Name, v, f.Usage)
				}
			}
		})
		for _, c := range cmd.Commands() {
			walk(c)
		}
	}
	walk(newRoot())
	for _, name := range []string{"data", "preset", "split", "loss", "lock", "templates", "hidden-act", "cleaning", "to", "schedule", "pooling", "augment", "quantizer", "positions"} {
		if !used[name] {
			t.Errorf("no command has a flag --%s", name)
		}
	}
}
