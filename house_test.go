// Package tessera has tests of the repository as a whole.
package tessera

import (
	"bufio"
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tessera/clip"
	"tessera/dalle"
	"tessera/flamingo"
	"tessera/flamingo/gpt2"
	"tessera/graph"
	"tessera/graph/op"
	"tessera/train"
	"tessera/vit"
	"tessera/vqvae"
)

var root = os.DirFS(".")

// below lists, for a folder, those whose packages it may import, itself
// included. The nearest folder with an entry decides.
var below = map[string][]string{
	"graph/kernel/simd": {},
	"graph/kernel":      {"graph/kernel"},
	"graph/op":          {"graph/op", "graph/kernel"},
	"graph/safetensors": {},
	"graph/npz":         {"graph/safetensors"},
	"graph/torchfile":   {"graph/safetensors"},
	"graph":             {"graph"},
	"layers":            {"graph", "layers"},
	"train/data":        {},
	"train":             {"graph", "train"},
	"vit":               {"graph", "layers", "vit"},
	"clip/bpe":          {},
	"clip":              {"graph", "layers", "clip"},
	// Above the model: these also prepare images.
	"clip/embed":  {"graph", "layers", "clip", "train/data"},
	"clip/search": {"graph/kernel", "clip", "train/data"},
	"vqvae":       {"graph", "layers", "vqvae"},
	// Batches of sequences.
	"dalle":         {"graph", "layers", "dalle", "train/data"},
	"flamingo/gpt2": {"graph", "layers"},
	"flamingo":      {"graph", "layers", "flamingo", "train/data"},
	"cmd":           {"graph", "layers", "train", "vit", "clip", "vqvae", "dalle", "flamingo", "cmd"},
	"testdata":      {"graph", "train", "vit", "clip"},
}

func TestImportsRunDownward(t *testing.T) {
	used := map[string]bool{}
	for file, f := range sources(t, parser.ImportsOnly) {
		dir := path.Dir(file)
		at := dir
		for below[at] == nil && at != "." {
			at = path.Dir(at)
		}
		allowed, ok := below[at]
		if !ok {
			t.Errorf("%s: the folder has no place in the order of imports", file)
			continue
		}
		used[at] = true
		for _, spec := range f.Imports {
			name, _ := strconv.Unquote(spec.Path.Value)
			pkg, ours := strings.CutPrefix(name, "tessera/")
			if ours && !slices.ContainsFunc(allowed, func(a string) bool { return pkg == a || strings.HasPrefix(pkg, a+"/") }) {
				t.Errorf("%s imports %s, which is not below %s", file, pkg, at)
			}
		}
	}
	for dir := range below {
		if !used[dir] {
			t.Errorf("%s is ordered and not there", dir)
		}
	}
}

func TestExportedNamesAreExplained(t *testing.T) {
	names := 0
	for file, f := range sources(t, parser.ParseComments) {
		if strings.HasSuffix(file, "_other.go") {
			continue // stands in for a file that explains the names
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && (d.Recv == nil || ast.IsExported(receiver(d))) && !standard[d.Name.Name] {
					names++
					if d.Doc == nil {
						t.Errorf("%s: %s has no comment", file, d.Name)
					}
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					for _, n := range exported(s) {
						names++
						if d.Doc == nil && !explained(s) && !enumerated(d) {
							t.Errorf("%s: %s has no comment", file, n)
						}
					}
				}
			}
		}
	}
	if names < 300 {
		t.Errorf("%d exported names, want the whole module's", names)
	}
}

// standard are methods whose meaning their interfaces give: errors, fmt, io,
// encoding/json, Gorgonia's operations and data sets.
var standard = map[string]bool{
	"Error": true, "Unwrap": true, "String": true, "Close": true, "Len": true, "Format": true,
	"MarshalJSON": true, "UnmarshalJSON": true, "MarshalText": true, "UnmarshalText": true,
	"Arity": true, "Type": true, "InferShape": true, "ReturnsPtr": true, "CallsExtern": true,
	"OverwritesInput": true, "WriteHash": true, "Hashcode": true, "DiffWRT": true, "SymDiff": true,
	"Classes": true, "Captions": true,
}

// receiver is the type that a method belongs to.
func receiver(d *ast.FuncDecl) string {
	x := d.Recv.List[0].Type
	for {
		switch t := x.(type) {
		case *ast.StarExpr:
			x = t.X
		case *ast.IndexExpr:
			x = t.X
		case *ast.IndexListExpr:
			x = t.X
		case *ast.Ident:
			return t.Name
		default:
			return ""
		}
	}
}

func exported(s ast.Spec) (names []string) {
	switch s := s.(type) {
	case *ast.TypeSpec:
		if s.Name.IsExported() {
			names = append(names, s.Name.Name)
		}
	case *ast.ValueSpec:
		for _, n := range s.Names {
			if n.IsExported() {
				names = append(names, n.Name)
			}
		}
	}
	return names
}

// enumerated tells whether d lists the values of a type, which has a comment.
func enumerated(d *ast.GenDecl) bool {
	first, ok := d.Specs[0].(*ast.ValueSpec)
	return ok && d.Tok == token.CONST && d.Lparen.IsValid() && first.Type != nil
}

func explained(s ast.Spec) bool {
	switch s := s.(type) {
	case *ast.TypeSpec:
		return s.Doc != nil || s.Comment != nil
	case *ast.ValueSpec:
		return s.Doc != nil || s.Comment != nil
	}
	return false
}

func TestFilesAreShort(t *testing.T) {
	const most = 600
	generated := regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)
	for _, file := range files(t) {
		text, err := fs.ReadFile(root, file)
		if err != nil {
			t.Fatal(err)
		}
		lines := 0
		for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
			lines++
		}
		if lines > most && !generated.Match(text) {
			t.Errorf("%s has %d lines, want at most %d", file, lines, most)
		}
	}
}

// Stock operations cannot run on a device, and several have wrong gradients.
func TestGraphsHoldNoStockOperation(t *testing.T) {
	tiny := func(model string) string { return filepath.Join("testdata", model, "tiny") }
	objectives := map[string]func() (train.Model, error){
		"vit": func() (train.Model, error) { return vit.Load(tiny("vit"), vit.LoadOptions{}) },
		"clip": func() (train.Model, error) {
			m, err := clip.Load(tiny("clip"), clip.LoadOptions{})
			return clip.Objective{Model: m, Labels: true}, err
		},
		"dalle": func() (train.Model, error) { return dalle.Load(tiny("dalle")) },
		"gpt2": func() (train.Model, error) {
			m, err := gpt2.Load(tiny("gpt2"), gpt2.LoadOptions{})
			return gpt2.Objective{Model: m, Tokens: 5}, err
		},
		"flamingo": func() (train.Model, error) {
			m, err := flamingo.Load(tiny("flamingo"), flamingo.LoadOptions{})
			return flamingo.Objective{Model: m, Shape: flamingo.Shape{Tokens: 5, Images: 2, Frames: 2, Patches: 3}}, err
		},
	}
	for _, kind := range vqvae.Quantizers() {
		objectives["vqvae with "+kind] = func() (train.Model, error) {
			c, err := vqvae.Preset("small28")
			if err == nil {
				err = c.SetQuantizer(kind, 6)
			}
			if err != nil {
				return nil, err
			}
			c.ResidualBlocks = 1
			return vqvae.New(c, graph.Seed(1))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(objectives)) {
		m, err := objectives[name]()
		if err != nil {
			t.Fatal(err)
		}
		p, err := graph.Compile(func(b *graph.Builder) { b.Minimize(m.Loss(b, 2)) }, &graph.Options{Training: true})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		own := 0
		for _, n := range p.Nodes() {
			switch n.Op().(type) {
			case nil:
			case *op.Operation:
				own++
			default:
				t.Errorf("%s: stock operation %v", name, n.Op())
			}
		}
		if own < 40 {
			t.Errorf("%s: %d operations, want the whole model", name, own)
		}
		p.Close()
	}
}

// sources parses the files that are compiled into the product.
func sources(t *testing.T, mode parser.Mode) map[string]*ast.File {
	t.Helper()
	all := map[string]*ast.File{}
	set := token.NewFileSet()
	for _, file := range files(t) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, file, nil, mode|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		all[file] = f
	}
	return all
}

// files lists the module's Go files, with slashes.
func files(t *testing.T) []string {
	t.Helper()
	var all []string
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "runs") {
			return fs.SkipDir
		}
		if strings.HasSuffix(name, ".go") {
			all = append(all, name)
		}
		return err
	})
	if err != nil || len(all) < 100 {
		t.Fatalf("%d files: %v", len(all), err)
	}
	return all
}
