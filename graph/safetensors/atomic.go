package safetensors

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/pkg/errors"
)

// WriteAtomic replaces the file at path by what write produces, or leaves it as
// it is and returns the error. The bytes are on disk before they take the name,
// so a crash leaves the old file or the new one, never a part. A new file has
// mode 0666 less the umask; an old one's mode is kept.
func WriteAtomic(path string, write func(io.Writer) error) error {
	return errors.Wrapf(writeAtomic(path, write), "write %s", path)
}

func writeAtomic(path string, write func(io.Writer) error) (err error) {
	// Renaming is atomic only within a file system: the temporary file lies
	// beside its target.
	tmp, err := createBeside(path)
	if err != nil {
		return err
	}
	renamed := false
	defer func() { // also when write panics
		if !renamed {
			tmp.Close()
			os.Remove(tmp.Name())
		}
	}()
	if stat, err := os.Stat(path); err == nil {
		if err := tmp.Chmod(stat.Mode().Perm()); err != nil {
			return err
		}
	}
	b := bufio.NewWriterSize(tmp, 1<<18)
	if err := write(b); err != nil {
		return err
	}
	if err := b.Flush(); err != nil {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	renamed = true
	return syncFolder(filepath.Dir(path))
}

// createBeside creates a file with a name that nothing else has. Unlike
// os.CreateTemp it leaves the mode to the umask.
func createBeside(path string) (*os.File, error) {
	folder, base := filepath.Split(path)
	for i := 0; ; i++ {
		name := fmt.Sprintf("%s.%s.%d-%d.tmp", folder, base, os.Getpid(), i)
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
}

// syncFolder makes a rename last. Windows does not open folders.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}
