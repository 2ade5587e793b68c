package data

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"

	"github.com/pkg/errors"
)

// ReadPreprocess reads and validates a preprocessor_config.json. Its errors
// name the path.
func ReadPreprocess(path string) (Preprocess, error) {
	var p Preprocess
	b, err := os.ReadFile(path)
	if err != nil {
		return p, errors.Wrap(err, "data")
	}
	if err := json.Unmarshal(b, &p); err != nil {
		return p, errors.Wrapf(err, "data: %s", path)
	}
	return p, errors.Wrap(p.Validate(), path)
}

// Write validates p and writes it as a preprocessor_config.json, in the layout
// of Hugging Face: two spaces of indentation and sorted keys.
func (p Preprocess) Write(path string) error {
	if err := p.Validate(); err != nil {
		return errors.Wrap(err, path)
	}
	b, err := json.Marshal(p)
	if err != nil {
		return errors.Wrapf(err, "data: %s", path)
	}
	var keys map[string]json.RawMessage // marshals in order
	if err := json.Unmarshal(b, &keys); err != nil {
		return errors.Wrapf(err, "data: %s", path)
	}
	if b, err = json.MarshalIndent(keys, "", "  "); err != nil {
		return errors.Wrapf(err, "data: %s", path)
	}
	return errors.Wrap(os.WriteFile(path, append(b, '\n'), 0o644), "data")
}

// UnmarshalJSON accepts files of any age. Keys that are missing have the
// defaults of the processor named by image_processor_type or, earlier,
// feature_extractor_type. A size that is a plain number is the shortest edge
// for CLIP and a square for all others. Keys of other processors are ignored
// unless they change the pixels.
func (p *Preprocess) UnmarshalJSON(b []byte) error {
	var probe struct {
		Type         string          `json:"image_processor_type"`
		OldType      string          `json:"feature_extractor_type"`
		Size         json.RawMessage `json:"size"`
		DoCenterCrop bool            `json:"do_center_crop"`
		DoConvertRGB *bool           `json:"do_convert_rgb"`
		DoPad        bool            `json:"do_pad"`
		CropPct      *float64        `json:"crop_pct"`
	}
	if err := json.Unmarshal(b, &probe); err != nil {
		return err
	}
	if probe.CropPct != nil {
		return errors.New("crop_pct is not supported: state size.shortest_edge and crop_size")
	}
	if probe.DoPad {
		return errors.New("do_pad is not supported")
	}
	name := probe.Type
	if name == "" {
		name = strings.Replace(probe.OldType, "FeatureExtractor", "ImageProcessor", 1)
	}
	clip := strings.HasPrefix(name, "CLIP") || name == "" && probe.DoCenterCrop

	type fields Preprocess // without this method
	f := fields(ViTPreprocess(224))
	if clip {
		f = fields(CLIPPreprocess(224))
	}
	if err := json.Unmarshal(b, &f); err != nil {
		return err
	}
	if name != "" {
		f.Type = name
	}
	if probe.DoConvertRGB == nil {
		f.DoConvertRGB = len(f.ImageMean) != 1
	}
	if n, ok := plainSize(probe.Size); ok && clip {
		f.Size = Size{ShortestEdge: n}
	}
	*p = Preprocess(f)
	return nil
}

// UnmarshalJSON reads {"height", "width"}, {"shortest_edge"} or a plain number,
// which stands for a square.
func (s *Size) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	if n, ok := plainSize(b); ok {
		*s = Size{Height: n, Width: n}
		return nil
	}
	type fields Size // without this method
	var f fields
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return errors.Wrapf(err, "size %s: want a number, height and width, or shortest_edge", b)
	}
	*s = Size(f)
	return nil
}

func plainSize(b []byte) (n int, ok bool) {
	if len(b) == 0 || string(b) == "null" {
		return 0, false
	}
	err := json.Unmarshal(b, &n)
	return n, err == nil
}
