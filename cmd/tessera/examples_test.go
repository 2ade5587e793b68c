package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// walk calls f with every command that a help shows and that does something.
func walk(cmd *cobra.Command, f func(*cobra.Command)) {
	for _, c := range cmd.Commands() {
		if !c.IsAvailableCommand() || c.Name() == "help" {
			continue
		}
		if !c.HasSubCommands() {
			f(c)
		}
		walk(c, f)
	}
}

// examples are the lines of a command's example.
func examples(cmd *cobra.Command) []string {
	var all []string
	for line := range strings.Lines(cmd.Example) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			all = append(all, line)
		}
	}
	return all
}

// call takes an example apart: the arguments of tessera, and the file that is
// its input, if there is one.
func call(t *testing.T, line string) (args []string, input string) {
	t.Helper()
	line, input, _ = strings.Cut(line, " < ")
	line, _, _ = strings.Cut(line, " | ")
	args = split(t, line)
	if len(args) == 0 || args[0] != "tessera" {
		t.Fatalf("%q does not begin with tessera", line)
	}
	return args[1:], input
}

// TestHelpOfAll wants every command to say what it does and to show it, by lines
// that name commands and flags that there are.
func TestHelpOfAll(t *testing.T) {
	n := 0
	walk(newRoot(), func(cmd *cobra.Command) {
		n++
		path := cmd.CommandPath()
		if cmd.Short == "" || cmd.Long == "" {
			t.Errorf("%s: Short %q, Long %q", path, cmd.Short, cmd.Long)
		}
		if len(cmd.Short) > 60 || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: %q is not a short line", path, cmd.Short)
		}
		lines := examples(cmd)
		if len(lines) == 0 {
			t.Errorf("%s has no example", path)
		}
		of := 0
		for _, line := range lines {
			args, _ := call(t, line)
			c, rest, err := newRoot().Find(args)
			if err != nil {
				t.Errorf("%s: %s: %v", path, line, err)
				continue
			}
			if c.CommandPath() == path {
				of++
			}
			if err := c.ParseFlags(rest); err != nil {
				t.Errorf("%s: %s: %v", path, line, err)
				continue
			}
			if err := c.ValidateArgs(c.Flags().Args()); err != nil {
				t.Errorf("%s: %s: %v", path, line, err)
			}
		}
		if of == 0 && len(lines) > 0 {
			t.Errorf("no example of %s shows it", path)
		}
	})
	if n < 25 {
		t.Errorf("%d commands", n)
	}
	for _, line := range examples(newRoot()) {
		args, _ := call(t, line)
		c, rest, err := newRoot().Find(args)
		if err == nil {
			err = c.ParseFlags(rest)
		}
		if err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}
