package main

import (
	"bytes"
	"encoding/json"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"tessera/graph/safetensors"
)

const tinyViT = "../../testdata/vit/tiny"

// execute runs one command alone.
func execute(cmd *cobra.Command, args ...string) (string, error) {
	var out bytes.Buffer
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(io.Discard)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.Execute()
	return out.String(), err
}

// wantErrors executes commands that must fail with a message holding part.
func wantErrors(t *testing.T, make func() *cobra.Command, rows []badCall) {
	t.Helper()
	for _, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			_, err := execute(make(), tt.args...)
			if err == nil || !strings.Contains(err.Error(), tt.part) {
				t.Fatalf("error %v, want one with %q", err, tt.part)
			}
			if tt.usage && exitCode(err) != exitUsage {
				t.Errorf("exit code %d for %v, want %d", exitCode(err), err, exitUsage)
			}
		})
	}
}

type badCall struct {
	name  string
	args  []string
	part  string
	usage bool // exit code 2
}

func TestInspectViT(t *testing.T) {
	out, err := execute(newInspect(), tinyViT, "--json")
	if err != nil {
		t.Fatal(err)
	}
	var r inspection
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Tensors) != 40 {
		t.Errorf("%d tensors, want 40", len(r.Tensors))
	}
	// By hand: embeddings, two blocks, final norm, head.
	const D, I, N, K = 48, 192, 16, 10
	block := 4*(D*D+D) + 2*D*I + I + D + 4*D
	want := D + (1+N)*D + 3*8*8*D + D + 2*block + 2*D + K*D + K
	if r.Elements != want || r.Bytes != int64(4*want) {
		t.Errorf("%d elements in %d bytes, want %d in %d", r.Elements, r.Bytes, want, 4*want)
	}
	m := r.Model
	if m == nil || m.Tokens != 1+N || m.Classes != K || !slices.Equal(m.Image, []int{3, 32, 32}) {
		t.Fatalf("model %+v, want 17 tokens, 10 classes, images (3, 32, 32)", m)
	}
	T := 1 + N
	flops := 2 * (N*D*3*64 + 2*(4*T*D*D+2*T*T*D+2*T*D*I) + D*K)
	if m.FLOPs != int64(flops) {
		t.Errorf("%d FLOPs, want %d", m.FLOPs, flops)
	}
	table, err := execute(newInspect(), tinyViT)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"(48×3×8×8)", "total, 40 tensors", "17 tokens, 10 classes"} {
		if !strings.Contains(table, part) {
			t.Errorf("no %q in\n%s", part, table)
		}
	}
}

func TestInspectFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	if err := safetensors.Write(path, []safetensors.Tensor{
		{Name: "h.10.w", Shape: []int{2, 0}, Data: []float32{}},
		{Name: "h.2.w", Shape: []int{}, Data: []int64{7}},
	}, nil); err != nil {
		t.Fatal(err)
	}
	r, err := inspect(path)
	if err != nil {
		t.Fatal(err)
	}
	if r.Tensors[0].Name != "h.2.w" || r.Elements != 1 || r.Bytes != 8 || r.Model != nil {
		t.Errorf("inspected %+v, want h.2.w first, 1 element of 8 bytes, no model", r)
	}
}

func TestInspectErrors(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.safetensors")
	write(t, bad, []byte("no tensors"))
	wantErrors(t, newInspect, []badCall{
		{"no argument", nil, "accepts 1 arg", false},
		{"nothing there", []string{"missing"}, "missing", false},
		{"not safetensors", []string{bad}, "bad.safetensors", false},
	})
}

func TestCompareNames(t *testing.T) {
	for _, tt := range []struct {
		name, a, b string
		want       int
	}{
		{"numbers by value", "l.2.w", "l.10.w", -1},
		{"leading zeros count for nothing", "l.02", "l.2", 0},
		{"equal", "a.1", "a.1", 0},
		{"prefix first", "a", "a.b", -1},
		{"letters by bytes", "b.1", "a.2", 1},
		{"digits before letters", "a.1", "a.x", -1},
		{"empty first", "", "a", -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sign := func(n int) int { return max(-1, min(1, n)) }
			if got := sign(compareNames(tt.a, tt.b)); got != tt.want {
				t.Errorf("%q to %q is %d, want %d", tt.a, tt.b, got, tt.want)
			}
			if got := sign(compareNames(tt.b, tt.a)); got != -tt.want {
				t.Errorf("%q to %q is %d, want %d", tt.b, tt.a, got, -tt.want)
			}
		})
	}
}
