package train

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/pkg/errors"
)

// A folder cannot be replaced in one operation. Its new content is prepared as
// .tmp-NAME, the old one set aside as .old-NAME, and .tmp-NAME renamed: after a
// crash tidy finds NAME, or .old-NAME and no NAME.
const (
	bestName  = "best"
	tmpPrefix = ".tmp-"
	oldPrefix = ".old-"
)

func stepName(n int) string { return fmt.Sprintf("step-%08d", n) }

// stepOf is the inverse of stepName.
func stepOf(name string) (n int, ok bool) {
	digits, ok := strings.CutPrefix(name, "step-")
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil && n >= 0 && stepName(n) == name
}

// Latest finds the checkpoint of the latest step in dir. There being none, or
// no dir, is not an error.
func Latest(dir string) (path string, ok bool, err error) {
	steps, err := savedSteps(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil || len(steps) == 0 {
		return "", false, errors.Wrap(err, "checkpoint")
	}
	return filepath.Join(dir, stepName(steps[len(steps)-1])), true, nil
}

// savedSteps lists the steps of the checkpoints in dir in ascending order.
func savedSteps(dir string) ([]int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var steps []int
	for _, e := range entries {
		n, ok := stepOf(e.Name())
		if !ok || !e.IsDir() {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, e.Name(), trainerFile)); err == nil {
			steps = append(steps, n)
		}
	}
	slices.Sort(steps)
	return steps, nil
}

// replaceFolder makes the folder at path hold what write puts into the folder
// it is given, whole or not at all.
func replaceFolder(path string, write func(dir string) error) (err error) {
	parent, base := filepath.Dir(path), filepath.Base(path)
	tmp, old := filepath.Join(parent, tmpPrefix+base), filepath.Join(parent, oldPrefix+base)
	for _, p := range []string{tmp, old} {
		if err := os.RemoveAll(p); err != nil {
			return err
		}
	}
	if err := os.Mkdir(tmp, 0o777); err != nil {
		return err
	}
	renamed := false
	defer func() { // also when write panics
		if !renamed {
			os.RemoveAll(tmp)
		}
	}()
	if err := write(tmp); err != nil {
		return err
	}
	if err := syncAll(tmp); err != nil {
		return err
	}
	replaced := false
	if err := os.Rename(path, old); err == nil {
		replaced = true
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		if replaced {
			os.Rename(old, path)
		}
		return err
	}
	renamed = true
	if err := syncPath(parent); err != nil {
		return err
	}
	return os.RemoveAll(old)
}

// tidy removes what a killed run left in dir.
func tidy(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if base, ok := strings.CutPrefix(e.Name(), oldPrefix); ok && isCheckpoint(base) {
			if _, err := os.Stat(filepath.Join(dir, base)); errors.Is(err, fs.ErrNotExist) {
				if err := os.Rename(path, filepath.Join(dir, base)); err != nil {
					return err
				}
				continue
			}
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
		if base, ok := strings.CutPrefix(e.Name(), tmpPrefix); ok && isCheckpoint(base) {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	return nil
}

func isCheckpoint(name string) bool {
	_, ok := stepOf(name)
	return ok || name == bestName
}

// prune removes all but the newest keep checkpoints up to the given step. Later
// ones belong to a run that was resumed from an earlier step, and stay.
func prune(dir string, keep, step int) error {
	if keep < 1 {
		return nil
	}
	steps, err := savedSteps(dir)
	if err != nil {
		return err
	}
	steps = slices.DeleteFunc(steps, func(n int) bool { return n > step })
	for _, n := range steps[:max(len(steps)-keep, 0)] {
		// Renamed first: half a checkpoint must not look like one.
		gone := filepath.Join(dir, tmpPrefix+stepName(n))
		if err := os.Rename(filepath.Join(dir, stepName(n)), gone); err != nil {
			return err
		}
		if err := os.RemoveAll(gone); err != nil {
			return err
		}
	}
	return nil
}

// syncAll brings a folder and what is in it to disk.
func syncAll(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return syncPath(path)
	})
}

// syncPath brings a file, or the names in a folder, to disk. Windows opens no
// folders, and files only for writing.
func syncPath(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
