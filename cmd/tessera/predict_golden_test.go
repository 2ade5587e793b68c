package main

import (
	"encoding/json"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"tessera/train/data"
	"tessera/vit"
)

// TestPredictAgreesWithReferencePixels holds the logits of photos, decoded and
// resized here, against those of the pixels that Pillow made of them.
func TestPredictAgreesWithReferencePixels(t *testing.T) {
	const photos = "../../testdata/preprocess"
	references, err := filepath.Glob(filepath.Join(photos, "vit.*.32.png"))
	if err != nil || len(references) < 5 {
		t.Fatalf("reference pixels %v, error %v", references, err)
	}
	m, err := vit.Load(goldenModel, vit.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f := forward{model: m}
	defer f.close()
	for _, ref := range references {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(ref), "vit."), ".32.png")
		t.Run(name, func(t *testing.T) {
			var got []prediction
			text := ok(t, "vit", "predict", "--model", goldenModel, "--json", "--logits", filepath.Join(photos, name+".png"))
			if err := json.Unmarshal([]byte(text), &got); err != nil || len(got) != 1 {
				t.Fatalf("%d predictions, error %v", len(got), err)
			}
			pixels, err := data.DecodeFile(ref, 0)
			if err != nil {
				t.Fatal(err)
			}
			x := make([]float32, 3*32*32)
			for i, v := range pixels.Pix { // interleaved to planes, [0, 255] to [−1, 1]
				x[i%3*32*32+i/3] = float32(float64(v)/127.5 - 1)
			}
			want, err := f.logits(tensor.New(tensor.WithShape(1, 3, 32, 32), tensor.WithBacking(x)))
			if err != nil {
				t.Fatal(err)
			}
			for i, w := range want {
				if math.Abs(float64(got[0].Logits[i]-w)) > 1e-5 {
					t.Errorf("logit %d is %g, of the reference pixels %g", i, got[0].Logits[i], w)
				}
			}
		})
	}
}
