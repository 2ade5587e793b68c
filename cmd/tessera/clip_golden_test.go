package main

import (
	"path/filepath"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"tessera/clip"
	"tessera/graph"
	"tessera/train/data"
)

// TestClipEmbedPixels holds the path from image files to vectors against the
// pixels that Pillow resizes and crops them to, normalized by the published
// formula and encoded by the model, whose activations TestVerifyClip holds
// against openai/CLIP.
func TestClipEmbedPixels(t *testing.T) {
	golden, err := filepath.Glob(filepath.Join(photos, "clip.*.32.png"))
	if err != nil || len(golden) < 6 {
		t.Fatalf("%d pictures of Pillow's pixels, error %v", len(golden), err)
	}
	m, err := clip.Load(goldenClip, clip.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	const S, C = 32, 3
	mean := [C]float64{0.48145466, 0.4578275, 0.40821073}
	deviation := [C]float64{0.26862954, 0.26130258, 0.27577711}
	args := []string{"embed", "--model", goldenClip}
	pixels := make([]float32, len(golden)*C*S*S)
	for i, path := range golden {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "clip."), ".32.png")
		args = append(args, "--image", filepath.Join(photos, name+".png"))
		im, err := data.DecodeFile(path, 0)
		if err != nil {
			t.Fatal(err)
		}
		im = im.RGB()
		if im.W != S || im.H != S {
			t.Fatalf("%s has %d×%d pixels", path, im.W, im.H)
		}
		for k, v := range im.Pix {
			c, at := k%C, k/C
			pixels[(i*C+c)*S*S+at] = float32((float64(v)/255 - mean[c]) / deviation[c])
		}
	}
	p, err := graph.Compile(func(b *graph.Builder) {
		b.Output("image", m.EncodeImage(b, b.Input("image", len(golden), C, S, S)))
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Run(graph.Values{"image": tensor.New(tensor.WithShape(len(golden), C, S, S), tensor.WithBacking(pixels))}); err != nil {
		t.Fatal(err)
	}
	want := p.Output("image").Float32s()
	code, out, errs := runClip(t, args...)
	if code != exitOK {
		t.Fatal(errs)
	}
	all := embeddings(t, out)
	if len(all) != len(golden) {
		t.Fatalf("%d lines, want %d", len(all), len(golden))
	}
	for i, e := range all {
		if d := apart(e.Embedding, want[i*m.ProjectionDim:][:m.ProjectionDim]); d > 1e-5 {
			t.Errorf("%s is %g from the reference", e.Image, d)
		}
	}
}
