package main

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/pkg/errors"
	"github.com/spf13/cobra"
)

func newDoctor() *cobra.Command {
	var asJSON bool
	var seed uint64
	cmd := &cobra.Command{
		Use:   "doctor DIR",
		Short: "Hold a model against what its paper says of it",
		Long: `Hold the model in DIR, of any kind, against what its paper says of it, without
data: run it on random inputs and look at what depends on what, and compare its
configuration, preprocessing and tokenizer with its weights and with published
models.

A check is ok, wrong, a warning where the folder alone cannot tell, or skipped.
The exit code is 1 where one is wrong. Whether the numbers are those of another
program is for "tessera verify" to tell.`,
		Example: `  tessera doctor testdata/clip/tiny
  tessera doctor testdata/flamingo/tiny --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			found, err := doctor(args[0], seed)
			if err != nil {
				return err
			}
			if err := printFindings(cmd.OutOrStdout(), found, asJSON); err != nil {
				return err
			}
			return verdict(args[0], found)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array instead of a table")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "of the random inputs")
	return cmd
}

// state is what a check came to.
type state string

const (
	healthy  state = "ok"
	doubtful state = "warning" // the folder alone does not tell
	wrong    state = "wrong"
	skipped  state = "skipped"
)

// finding is the result of a check.
type finding struct {
	Check  string `json:"check"`
	State  state  `json:"state"`
	Found  string `json:"found"`            // what came and, unless ok, what was wanted
	Advice string `json:"advice,omitempty"` // what to do
}

// examination collects findings about a folder.
type examination struct {
	dir   string
	seed  uint64
	found []finding
}

// rng draws the same numbers in every check, whatever ran before it.
func (e *examination) rng() *rand.Rand { return rand.New(rand.NewPCG(e.seed, 0)) }

func (e *examination) add(f finding) { e.found = append(e.found, f) }

func (e *examination) ok(check, format string, args ...any) {
	e.add(finding{check, healthy, fmt.Sprintf(format, args...), ""})
}

func (e *examination) skip(check, format string, args ...any) {
	e.add(finding{check, skipped, fmt.Sprintf(format, args...), ""})
}

func (e *examination) warn(check, advice, format string, args ...any) {
	e.add(finding{check, doubtful, fmt.Sprintf(format, args...), advice})
}

func (e *examination) wrong(check, advice, format string, args ...any) {
	e.add(finding{check, wrong, fmt.Sprintf(format, args...), advice})
}

// judge adds the result of a check that returns what is wrong, or "".
func (e *examination) judge(check, good, advice, fault string, err error) {
	switch {
	case err != nil:
		e.wrong(check, "", "cannot be computed: %v", err)
	case fault != "":
		e.wrong(check, advice, "%s", fault)
	default:
		e.ok(check, "%s", good)
	}
}

// part examines a folder within, if there is one, as a model of its own.
func (e *examination) part(name string) {
	dir := filepath.Join(e.dir, name)
	if !exists(filepath.Join(dir, "config.json")) {
		return
	}
	found, err := doctor(dir, e.seed)
	if err != nil {
		e.wrong(name+"/", "", "%v", err)
		return
	}
	for _, f := range found {
		f.Check = name + "/" + f.Check
		e.add(f)
	}
}

// doctor examines the model in dir. The error is that of a folder that holds
// none.
func doctor(dir string, seed uint64) ([]finding, error) {
	kind, err := kindOf(dir)
	if err != nil {
		return nil, err
	}
	e := &examination{dir: dir, seed: seed}
	switch kind {
	case "vit":
		e.vit()
	case "clip":
		e.clip()
	case "vqvae":
		e.vqvae()
	case "dalle":
		e.dalle()
	case "flamingo":
		e.flamingo()
	case "gpt2":
		e.gpt2()
	default:
		return nil, errors.Errorf("%s: model_type is %q, want vit, clip, vqvae, dalle, flamingo or gpt2", dir, kind)
	}
	return e.found, nil
}

// kindOf is the model_type of a folder, which models of open_clip and timm do
// not state.
func kindOf(dir string) (string, error) {
	kind, err := modelType(dir)
	if err == nil {
		return kind, nil
	}
	if exists(filepath.Join(dir, "open_clip_config.json")) {
		return "clip", nil
	}
	var c struct{ Architecture string }
	if readOptional(filepath.Join(dir, "config.json"), &c) == nil && strings.HasPrefix(c.Architecture, "vit_") {
		return "vit", nil
	}
	return "", err
}

// readOptional decodes a file of JSON, if there is one.
func readOptional(path string, v any) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return errors.WithStack(err)
	}
	return errors.Wrap(json.Unmarshal(text, v), path)
}

// printFindings writes a table and how many checks came to what.
func printFindings(w io.Writer, found []finding, asJSON bool) error {
	if asJSON {
		return writeJSON(w, found)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	count := map[state]int{}
	for _, f := range found {
		count[f.State]++
		line := f.Found
		if f.Advice != "" {
			line += ": " + f.Advice
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", f.State, f.Check, line)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%d checks: %d ok, %d wrong, %d warnings, %d skipped\n",
		len(found), count[healthy], count[wrong], count[doubtful], count[skipped])
	return errors.WithStack(err)
}

// verdict is the error of a folder in which something is wrong.
func verdict(dir string, found []finding) error {
	var names []string
	for _, f := range found {
		if f.State == wrong && !slices.Contains(names, f.Check) {
			names = append(names, f.Check)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return errors.Errorf("%s: wrong: %s", dir, strings.Join(names, ", "))
}
