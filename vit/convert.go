package vit

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pkg/errors"

	"tessera/graph"
	"tessera/graph/npz"
	"tessera/graph/safetensors"
	"tessera/layers/config"
)

// Convert reads the checkpoint at src, in any layout Load takes, and writes it
// to the folder dst in another: LayoutHF, LayoutTimm or LayoutJAX. The folder
// is made if need be; it gets a config.json, the weights in model.safetensors
// or, for JAX, model.npz, and src's preprocessor_config.json if it has one.
// Weights are float32 and otherwise unchanged; tensors that are no part of the
// model are left out.
//
// timm's and JAX's code fix what their layouts do not say: norms have
// ε = 1e-6, and the activation of timm's is the exact GELU. The config.json
// beside an .npz file is Hugging Face's, for Load.
func Convert(src, dst, layout string) error {
	c, stored, done, err := open(src)
	if err != nil {
		return err
	}
	defer done()
	all, err := places(layout, c)
	if err != nil {
		return err
	}
	if layout == LayoutTimm {
		if c.Pooling == "mean" {
			return errors.Errorf("%s: timm cannot pool the mean of normalized patches", stored.Origin())
		}
		if c.HiddenAct != "gelu" {
			return errors.Errorf("%s: hidden_act is %q, and timm's is \"gelu\"", stored.Origin(), c.HiddenAct)
		}
	}
	arrays, err := collect(stored, all)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dst, 0o777); err != nil {
		return errors.Wrap(err, "vit")
	}
	if err := writeArrays(dst, layout, arrays); err != nil {
		return err
	}
	if err := copyPreprocessor(src, dst); err != nil {
		return err
	}
	path := filepath.Join(dst, "config.json")
	if layout == LayoutTimm {
		return config.Write(path, newTimmConfig(c))
	}
	return published(c).Write(path)
}

// collect reads the tensors of a model and packs them as the places say. A
// head may be missing as a whole.
func collect(stored *graph.Tensors, all []place) ([]npz.Array, error) {
	_, headed := stored.Lookup(headKernel)
	var arrays []npz.Array
	var faults []string
	for _, p := range all {
		if !headed && strings.HasPrefix(p.hf[0], "classifier.") {
			continue
		}
		var parts [][]float32
		for _, name := range p.hf {
			v, err := stored.Tensor(name, p.shape, graph.Zeros)
			if err != nil {
				faults = append(faults, err.Error())
				continue
			}
			parts = append(parts, v.Float32s())
		}
		if len(parts) == len(p.hf) {
			arrays = append(arrays, npz.Array{Name: p.name, Shape: p.stored(), Data: p.pack(parts)})
		}
	}
	if len(faults) > 0 {
		return nil, errors.New(strings.Join(faults, "\n\t"))
	}
	return arrays, nil
}

func writeArrays(dst, layout string, arrays []npz.Array) error {
	if layout == LayoutJAX {
		// Load would take those weights and not ours.
		if old := filepath.Join(dst, torchFile); exists(old) {
			return errors.Errorf("vit: %s is in the way of %s", old, jaxFile)
		}
		return npz.Write(filepath.Join(dst, jaxFile), arrays)
	}
	var tensors []safetensors.Tensor
	for _, a := range arrays {
		tensors = append(tensors, safetensors.Tensor{Name: a.Name, Shape: a.Shape, Data: a.Data})
	}
	return safetensors.Write(filepath.Join(dst, torchFile), tensors, map[string]string{"format": "pt"})
}

// copyPreprocessor copies the description of how images are prepared, if src
// has one.
func copyPreprocessor(src, dst string) error {
	const name = "preprocessor_config.json"
	text, err := os.ReadFile(beside(src, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return errors.Wrap(err, "vit")
	}
	return safetensors.WriteAtomic(filepath.Join(dst, name), func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}
