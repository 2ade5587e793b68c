package main

import (
	"encoding/json"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"tessera/graph/kernel/simd"
)

func TestVersion(t *testing.T) {
	for _, want := range []string{"commit", runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH, "instructions"} {
		if out := ok(t, "version"); !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	var v version
	if err := json.Unmarshal([]byte(ok(t, "version", "--json")), &v); err != nil {
		t.Fatal(err)
	}
	if v.Go != runtime.Version() || v.Threads != runtime.GOMAXPROCS(0) || (len(v.Instructions) > 0) != (simd.Active() > simd.None) {
		t.Errorf("version %+v", v)
	}
}

func TestVersionOf(t *testing.T) {
	for _, tt := range []struct {
		name     string
		settings []debug.BuildSetting
		want     string // line of what is printed
	}{
		{"nothing recorded", nil, "commit        not recorded"},
		{"clean", []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "false"}}, "commit        abc\n"},
		{"changed", []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"}}, "commit        abc, with changes\n"},
		{"time", []debug.BuildSetting{{Key: "vcs.time", Value: "2026-01-02T03:04:05Z"}}, "committed     2026-01-02T03:04:05Z\n"},
		{"noasm", []debug.BuildSetting{{Key: "-tags", Value: "x,noasm"}}, "instructions  none (built with noasm)\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			if err := versionOf(&debug.BuildInfo{Settings: tt.settings}).print(&out); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(out.String(), tt.want) {
				t.Errorf("no %q in\n%s", tt.want, out.String())
			}
		})
	}
	if v := versionOf(nil); v.Commit != "" || v.Go == "" {
		t.Errorf("version %+v of no record", v)
	}
}

func TestInstructions(t *testing.T) {
	for _, tt := range []struct {
		level simd.Level
		vnni  bool
		want  []string
	}{
		{simd.None, true, []string{}},
		{simd.AVX2, true, []string{"AVX2"}},
		{simd.AVX512, false, []string{"AVX-512", "AVX2"}},
		{simd.AVX512, true, []string{"AVX-512", "VNNI", "AVX2"}},
	} {
		if got := instructions(tt.level, tt.vnni); !slices.Equal(got, tt.want) {
			t.Errorf("%v: %q, want %q", tt.level, got, tt.want)
		}
	}
}
