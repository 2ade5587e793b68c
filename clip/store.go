package clip

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pkg/errors"

	"tessera/layers/checkpoint"
)

// The names under which a folder may hold the tensors, the first found counts.
const weightsFile = checkpoint.TensorFile

var weightsFiles = []string{
	weightsFile, "model.safetensors.index.json", openCLIPFile,
	"pytorch_model.bin", "open_clip_pytorch_model.bin",
}

// store is an open file of tensors.
type store struct{ *checkpoint.Store }

// openStore opens the tensors at path, a file or a folder.
func openStore(path string) (s store, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return s, errors.Wrap(err, "clip")
	}
	if info.IsDir() {
		if path, err = weightsIn(path); err != nil {
			return s, err
		}
	}
	if ext := filepath.Ext(path); ext == ".safetensors" || ext == ".json" {
		s.Store, err = checkpoint.OpenSafetensors(path)
	} else {
		s.Store, err = checkpoint.OpenTorch(path)
	}
	if err != nil {
		return s, err
	}
	if err := s.Rename("tensors", normalized); err != nil {
		s.Close()
		return s, err
	}
	return s, nil
}

func weightsIn(folder string) (string, error) {
	for _, name := range weightsFiles {
		path := filepath.Join(folder, name)
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return path, errors.Wrap(err, "clip")
		}
	}
	return "", errors.Errorf("clip: %s holds none of %s", folder, strings.Join(weightsFiles, ", "))
}

// normalized drops what is no weight, and the prefixes that training scripts and
// open_clip's CustomTextCLIP put before the names of the original.
func normalized(name string) (string, bool) {
	for _, prefix := range []string{"module.", "_orig_mod.", "text."} {
		name = strings.TrimPrefix(name, prefix)
	}
	return name, !isBuffer(name)
}

// isBuffer accepts what published files hold beside weights: indices, sizes and
// masks that follow from the configuration. OpenAI's sizes are kept: they tell
// whose file it is.
func isBuffer(name string) bool {
	return strings.HasSuffix(name, ".position_ids") || slices.Contains([]string{"attn_mask", "text.attn_mask"}, name)
}
