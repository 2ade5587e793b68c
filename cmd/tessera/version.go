package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/sys/cpu"

	"tessera/graph/kernel/simd"
)

func newVersion() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Tell the version and what of this processor is used",
		Long: `Tell which source the program was built from and which instructions of this
processor it computes with: AVX-512 (with VNNI where there is), AVX2, or none,
which is plain Go. GODEBUG=cpu.avx512f=off leaves AVX-512 out, GOMAXPROCS=N
computes with N threads. Results of different instructions differ by rounding.

go run leaves out the commit; go build has it.`,
		Example: `  tessera version
  tessera version --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			info, _ := debug.ReadBuildInfo()
			v := versionOf(info)
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), v)
			}
			return v.print(cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// version tells what computes here.
type version struct {
	Version  string `json:"version"`          // of the module
	Commit   string `json:"commit,omitempty"` // empty where the build does not know
	Time     string `json:"time,omitempty"`   // of the commit
	Modified bool   `json:"modified"`         // the source differs from the commit
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
	// Instructions are the sets in use, none of them in plain Go.
	Instructions []string `json:"instructions"`
	NoAsm        bool     `json:"noasm"` // built without assembly
	Threads      int      `json:"gomaxprocs"`
}

// versionOf takes what a build recorded, nil for nothing.
func versionOf(info *debug.BuildInfo) version {
	v := version{
		Version: "(devel)", Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH,
		Instructions: instructions(simd.Active(), cpu.X86.HasAVX512VNNI), Threads: runtime.GOMAXPROCS(0),
	}
	if info == nil {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.time":
			v.Time = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		case "-tags":
			v.NoAsm = slices.Contains(strings.Split(s.Value, ","), "noasm")
		}
	}
	return v
}

// instructions are the sets of a level.
func instructions(level simd.Level, vnni bool) []string {
	switch {
	case level == simd.AVX512 && vnni:
		return []string{"AVX-512", "VNNI", "AVX2"}
	case level == simd.AVX512:
		return []string{"AVX-512", "AVX2"}
	case level == simd.AVX2:
		return []string{"AVX2"}
	}
	return []string{}
}

func (v version) print(w io.Writer) error {
	commit := v.Commit
	switch {
	case commit == "":
		commit = "not recorded"
	case v.Modified:
		commit += ", with changes"
	}
	used := strings.Join(v.Instructions, ", ")
	switch {
	case v.NoAsm:
		used = "none (built with noasm)"
	case used == "":
		used = "none"
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "tessera\t%s\n", v.Version)
	fmt.Fprintf(t, "commit\t%s\n", commit)
	if v.Time != "" {
		fmt.Fprintf(t, "committed\t%s\n", v.Time)
	}
	fmt.Fprintf(t, "Go\t%s\n", v.Go)
	fmt.Fprintf(t, "system\t%s/%s\n", v.OS, v.Arch)
	fmt.Fprintf(t, "instructions\t%s\n", used)
	fmt.Fprintf(t, "threads\t%d\n", v.Threads)
	return t.Flush()
}
