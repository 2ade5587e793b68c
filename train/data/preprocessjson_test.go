package data

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestPreprocessJSON(t *testing.T) {
	gray := ViTPreprocess(28)
	gray.DoConvertRGB, gray.ImageMean, gray.ImageStd = false, []float64{0.2860}, []float64{0.3530}
	deit := ViTPreprocess(256)
	deit.Type, deit.Resample = "DeiTImageProcessor", Bicubic
	deit.DoCenterCrop, deit.CropSize = true, Size{Height: 224, Width: 224}
	unnamed := CLIPPreprocess(224)
	for _, tt := range []struct {
		name, text string
		want       Preprocess
	}{
		{"ViT", `{"do_normalize": true, "do_rescale": true, "do_resize": true,
			"image_mean": [0.5, 0.5, 0.5], "image_processor_type": "ViTImageProcessor",
			"image_std": [0.5, 0.5, 0.5], "resample": 2, "rescale_factor": 0.00392156862745098,
			"size": {"height": 224, "width": 224}}`, ViTPreprocess(224)},
		{"ViT, early", `{"do_normalize": true, "do_resize": true, "image_mean": [0.5, 0.5, 0.5],
			"image_std": [0.5, 0.5, 0.5], "size": 384}`, ViTPreprocess(384)},
		{"ViT, null conversion", `{"image_processor_type": "ViTImageProcessor", "do_convert_rgb": null}`, ViTPreprocess(224)},
		{"CLIP", `{"crop_size": {"height": 336, "width": 336}, "do_center_crop": true,
			"do_convert_rgb": true, "do_normalize": true, "do_rescale": true, "do_resize": true,
			"image_mean": [0.48145466, 0.4578275, 0.40821073],
			"image_processor_type": "CLIPImageProcessor",
			"image_std": [0.26862954, 0.26130258, 0.27577711], "resample": 3,
			"rescale_factor": 0.00392156862745098, "size": {"shortest_edge": 336}}`, CLIPPreprocess(336)},
		{"CLIP, early", `{"crop_size": 224, "do_center_crop": true, "do_normalize": true,
			"do_resize": true, "feature_extractor_type": "CLIPFeatureExtractor",
			"image_mean": [0.48145466, 0.4578275, 0.40821073],
			"image_std": [0.26862954, 0.26130258, 0.27577711], "resample": 3, "size": 224}`, CLIPPreprocess(224)},
		{"center crop without a type", `{"do_center_crop": true, "size": 224}`, unnamed},
		{"DeiT, early", `{"crop_size": 224, "do_center_crop": true,
			"feature_extractor_type": "DeiTFeatureExtractor", "resample": 3, "size": 256}`, deit},
		{"gray", `{"image_mean": [0.2860], "image_std": [0.3530], "size": 28}`, gray},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "preprocessor_config.json")
			if err := os.WriteFile(path, []byte(tt.text), 0o644); err != nil {
				t.Fatal(err)
			}
			got, err := ReadPreprocess(path)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Fatalf("read %+v, want %+v", got, tt.want)
			}
			if err := got.Write(path); err != nil {
				t.Fatal(err)
			}
			if again, err := ReadPreprocess(path); err != nil || !reflect.DeepEqual(again, got) {
				t.Errorf("after writing %+v, want %+v (%v)", again, got, err)
			}
		})
	}
}

func TestPreprocessWriteLayout(t *testing.T) {
	path := filepath.Join(t.TempDir(), "preprocessor_config.json")
	if err := CLIPPreprocess(224).Write(path); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
  "crop_size": {
    "height": 224,
    "width": 224
  },
  "do_center_crop": true,
  "do_convert_rgb": true,
  "do_normalize": true,
  "do_rescale": true,
  "do_resize": true,
  "image_mean": [
    0.48145466,
    0.4578275,
    0.40821073
  ],
  "image_processor_type": "CLIPImageProcessor",
  "image_std": [
    0.26862954,
    0.26130258,
    0.27577711
  ],
  "resample": 3,
  "rescale_factor": 0.00392156862745098,
  "size": {
    "shortest_edge": 224
  }
}
`
	if string(got) != want {
		t.Errorf("wrote %s", got)
	}
}

func TestPreprocessJSONRefuses(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{`{"crop_pct": 0.875}`, "crop_pct is not supported"},
		{`{"do_pad": true}`, "do_pad is not supported"},
		{`{"size": {"shortest_edge": 224, "longest_edge": 300}}`, "longest_edge"},
		{`{"size": 22.5}`, "size 22.5: want a number, height and width, or shortest_edge"},
		{`{"resample": "bicubic"}`, "resample"},
		{`[1]`, "array"},
	} {
		var p Preprocess
		if err := json.Unmarshal([]byte(tt.text), &p); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", tt.text, err, tt.want)
		}
	}
}

func FuzzPreprocess(f *testing.F) {
	f.Add([]byte(`{"size": {"height": 4, "width": 5}, "resample": 0}`))
	f.Add([]byte(`{"size": 7, "do_center_crop": true, "crop_size": 3, "image_mean": [1], "image_std": [2]}`))
	f.Add([]byte(`{"image_processor_type": "CLIPImageProcessor", "do_convert_rgb": null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p Preprocess
		if json.Unmarshal(b, &p) != nil || p.Validate() != nil {
			return
		}
		text, err := json.Marshal(p)
		if err != nil {
			return // an unused number that JSON cannot say
		}
		var again Preprocess
		if err := json.Unmarshal(text, &again); err != nil || !reflect.DeepEqual(again, p) {
			t.Fatalf("%+v became %+v (%v)", p, again, err)
		}
		if w, h := p.Output(); w > 64 || h > 64 || p.Size.ShortestEdge > 64 {
			return
		}
		im, err := p.Apply(noise(5, 3, 3, 1))
		if err != nil {
			return // of another size, and not to be resized
		}
		if err := p.Normalize(make([]float32, len(im.Pix)), im); err != nil {
			t.Error(err)
		}
	})
}
