package clip

import (
	"os"
	"path/filepath"

	"github.com/pkg/errors"

	"tessera/layers/checkpoint"
	"tessera/layers/config"
)

// companions are the files that belong to a model in any layout: how images are
// prepared and how texts become tokens.
var companions = []string{
	"preprocessor_config.json", "vocab.json", "merges.txt", "tokenizer.json",
	"tokenizer_config.json", "special_tokens_map.json", "bpe_simple_vocab_16e6.txt.gz",
}

// Convert reads the checkpoint at src as Load does and writes it to the folder
// dst in another layout, LayoutHF or LayoutOpenAI. The folder is made if need
// be; it gets model.safetensors or open_clip_model.safetensors, config.json,
// for OpenAI's layout also open_clip_config.json, and the files beside src for
// images and tokens. Weights become float32 and are otherwise unchanged;
// tensors that are no part of the model are left out.
func Convert(src, dst, layout string, o LoadOptions) error {
	c, stored, done, err := open(src, o)
	if err != nil {
		return err
	}
	defer done()
	all, err := places(layout, c)
	if err != nil {
		return err
	}
	var foreign openCLIP
	if layout == LayoutOpenAI {
		if foreign, err = newOpenCLIP(c); err != nil {
			return errors.WithMessage(err, stored.Origin())
		}
	}
	tensors, err := checkpoint.Pack(stored, all)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dst, 0o777); err != nil {
		return errors.Wrap(err, "clip")
	}
	file := map[string]string{LayoutHF: weightsFile, LayoutOpenAI: openCLIPFile}[layout]
	if err := unobstructed(dst, file); err != nil {
		return err
	}
	if err := checkpoint.Write(filepath.Join(dst, file), tensors); err != nil {
		return err
	}
	for _, name := range companions {
		if err := checkpoint.Copy(filepath.Join(checkpoint.Folder(src), name), filepath.Join(dst, name)); err != nil {
			return errors.Wrap(err, "clip")
		}
	}
	if layout == LayoutOpenAI {
		if err := config.Write(filepath.Join(dst, openCLIPConfig), foreign); err != nil {
			return err
		}
	}
	return c.Write(filepath.Join(dst, configFile))
}

// unobstructed rejects a folder in which Load would take other weights than
// those in file.
func unobstructed(dir, file string) error {
	for _, name := range weightsFiles {
		if name == file {
			return nil
		}
		if path := filepath.Join(dir, name); exists(path) {
			return errors.Errorf("clip: %s is in the way of %s", path, file)
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
