package main

import (
	"fmt"
	"os"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// addConfig gives every command with flags one more, --config, below cmd.
func addConfig(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		addConfig(c)
	}
	if cmd.HasSubCommands() || !cmd.HasLocalFlags() || cmd.Flags().Lookup("config") != nil {
		return
	}
	file := cmd.Flags().String("config", "", "YAML or JSON file of flags, such as \"epochs: 5\"; those given here come first")
	before := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if *file != "" {
			if err := configure(cmd.Flags(), *file); err != nil {
				return err
			}
		}
		if before != nil {
			return before(cmd, args)
		}
		return nil
	}
}

// configure sets the flags that a file names and that were not given.
func configure(f *pflag.FlagSet, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return errors.Wrap(err, "--config")
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return usagef("--config %s: %v", file, err)
	}
	if len(doc.Content) == 0 {
		return nil
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return usagef("--config %s: want lines such as \"epochs: 5\", or a JSON object", file)
	}
	var names []string
	f.VisitAll(func(flag *pflag.Flag) {
		if flag.Name != "config" && flag.Name != "help" {
			names = append(names, flag.Name)
		}
	})
	seen := map[string]bool{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		where := fmt.Sprintf("--config %s: line %d", file, key.Line)
		flag := f.Lookup(key.Value)
		switch {
		case flag == nil || key.Value == "config" || key.Value == "help":
			return errors.WithMessage(unknown("key", key.Value, names), where)
		case seen[key.Value]:
			return usagef("%s: %s is there twice", where, key.Value)
		case flag.Changed:
			seen[key.Value] = true
			continue // the command line
		}
		seen[key.Value] = true
		if err := setFlag(f, flag, value); err != nil {
			return usagef("%s: %s: %v", where, key.Value, err)
		}
	}
	return nil
}

// setFlag sets a flag to a scalar, or one of several values to a list.
func setFlag(f *pflag.FlagSet, flag *pflag.Flag, value *yaml.Node) error {
	for value.Kind == yaml.AliasNode {
		value = value.Alias
	}
	list := []*yaml.Node{value}
	if value.Kind == yaml.SequenceNode {
		if _, ok := flag.Value.(pflag.SliceValue); !ok {
			return errors.New("a list, want one value")
		}
		list = value.Content
	}
	texts := make([]string, len(list))
	for i, v := range list {
		if v.Kind != yaml.ScalarNode || v.Tag == "!!null" {
			return errors.New("want a text, a number, true or false, or a list of these")
		}
		texts[i] = v.Value
	}
	if s, ok := flag.Value.(pflag.SliceValue); ok {
		flag.Changed = true
		return s.Replace(texts)
	}
	return f.Set(flag.Name, texts[0])
}
