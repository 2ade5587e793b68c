package vit

import (
	"os"
	"path/filepath"
	"slices"

	"github.com/pkg/errors"

	"tessera/graph/npz"
	"tessera/graph/safetensors"
	"tessera/layers/checkpoint"
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
	if _, headed := stored.Lookup(headKernel); !headed {
		all = slices.DeleteFunc(all, ofHead)
	}
	tensors, err := checkpoint.Pack(stored, all)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dst, 0o777); err != nil {
		return errors.Wrap(err, "vit")
	}
	if err := writeTensors(dst, layout, tensors); err != nil {
		return err
	}
	const images = "preprocessor_config.json"
	if err := checkpoint.Copy(filepath.Join(checkpoint.Folder(src), images), filepath.Join(dst, images)); err != nil {
		return errors.Wrap(err, "vit")
	}
	path := filepath.Join(dst, "config.json")
	if layout == LayoutTimm {
		return config.Write(path, newTimmConfig(c))
	}
	return published(c).Write(path)
}

func writeTensors(dst, layout string, tensors []safetensors.Tensor) error {
	if layout != LayoutJAX {
		return checkpoint.Write(filepath.Join(dst, torchFile), tensors)
	}
	// Load would take those weights and not ours.
	if old := filepath.Join(dst, torchFile); exists(old) {
		return errors.Errorf("vit: %s is in the way of %s", old, jaxFile)
	}
	var arrays []npz.Array
	for _, t := range tensors {
		arrays = append(arrays, npz.Array{Name: t.Name, Shape: t.Shape, Data: t.Data.([]float32)})
	}
	return npz.Write(filepath.Join(dst, jaxFile), arrays)
}
