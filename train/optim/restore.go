package optim

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pkg/errors"

	"tessera/graph"
	"tessera/graph/safetensors"
)

// stepName is the tensor that counts steps.
const stepName = "step"

// restore reads the step and, if it is not 0, one float32 tensor for each
// prefix and trained parameter. Its error lists everything that is wrong.
func restore(f *safetensors.File, params *graph.Params, prefixes ...string) (int64, map[string][]float32, error) {
	info, ok := f.Info(stepName)
	if !ok {
		return 0, nil, errors.Errorf("optim: no tensor %q among %d: not the state of an optimizer", stepName, len(f.Names()))
	}
	if info.Dtype != safetensors.I64 || info.Size() != 1 {
		return 0, nil, errors.Errorf("optim: %s: tensor %q is %s of shape %v, want one I64", info.Path, stepName, info.Dtype, info.Shape)
	}
	steps, err := f.Int64(stepName)
	if err != nil {
		return 0, nil, errors.Wrap(err, "optim")
	}
	step := steps[0]
	if step < 0 {
		return 0, nil, errors.Errorf("optim: %s: tensor %q is %d, want at least 0", info.Path, stepName, step)
	}

	wanted := map[string]bool{stepName: true}
	var faults []string
	if step > 0 {
		for p := range params.Trained() {
			for _, prefix := range prefixes {
				name := prefix + p.Name
				wanted[name] = true
				if fault := mismatch(f, name, p.Shape()); fault != "" {
					faults = append(faults, fault)
				}
			}
		}
	}
	for _, name := range f.Names() {
		if !wanted[name] {
			faults = append(faults, "unknown tensor "+name)
		}
	}
	if len(faults) > 0 {
		return 0, nil, errors.Errorf("optim: %s: %s", info.Path, strings.Join(faults, "; "))
	}

	stored := map[string][]float32{}
	for name := range wanted {
		if name == stepName {
			continue
		}
		if stored[name], err = f.Float32(name); err != nil {
			return 0, nil, errors.Wrap(err, "optim")
		}
	}
	return step, stored, nil
}

// mismatch says what is wrong with a stored tensor, or nothing.
func mismatch(f *safetensors.File, name string, shape []int) string {
	info, ok := f.Info(name)
	switch {
	case !ok:
		return fmt.Sprintf("no tensor %s, want shape %v", name, shape)
	case info.Dtype != safetensors.F32:
		return fmt.Sprintf("tensor %s is %s, want F32", name, info.Dtype)
	case !slices.Equal(info.Shape, shape):
		return fmt.Sprintf("tensor %s has shape %v, want %v", name, info.Shape, shape)
	}
	return ""
}
