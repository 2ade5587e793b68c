package search

import (
	"context"
	"database/sql"
	"os"
	"sync"
	"time"

	"github.com/pkg/errors"
)

// Options says what an index file is to hold.
type Options struct {
	// Dim and Model are the width D of the vectors and the hash of the model
	// that makes them. Both are needed to create an index. An existing one that
	// differs is refused; left out, what it says is taken.
	Dim   int
	Model string

	Precision Precision // in memory; Float32 if ""
	// ReadOnly opens the index as it is now, even while another process writes
	// to it. Put and Delete are refused.
	ReadOnly bool
}

// File is an [Index] in a file of this machine, an SQLite database. Items,
// metadata and vectors are on disk; vectors and metadata are in memory as well,
// where a search goes over all of them on all cores. An acknowledged write
// survives the end of the process and loss of power. Beside the file lies one
// named .lock: only one process writes at a time.
type File struct {
	path   string
	model  string
	dim    int
	db     *sql.DB
	reads  reader
	locked *sql.DB // nil for reading only
	frozen *sql.Tx // what is read, for reading only

	writing sync.Mutex // one writer, from its first read to its change of the table
	next    int64      // row

	mu     sync.RWMutex // guards what follows
	table  *table
	closed bool
}

var _ Index = (*File)(nil)

// reader is a database or a transaction.
type reader interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Open opens the index at path, which is created if nothing is there and o says
// of what. Vectors are read into memory.
func Open(path string, o Options) (*File, error) {
	f, err := open(path, o)
	return f, errors.Wrapf(err, "search: %s", path)
}

func open(path string, o Options) (_ *File, err error) {
	switch {
	case path == "":
		return nil, errors.New("no file name")
	case o.Dim < 0 || o.Dim > maxDim:
		return nil, errors.Errorf("vectors of %d elements, want at most %d", o.Dim, maxDim)
	case o.Precision != "" && o.Precision != Float32 && o.Precision != Int8:
		return nil, errors.Errorf("precision %q, want %q or %q", o.Precision, Float32, Int8)
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, errors.New("is not a regular file")
	} else if err != nil && !os.IsNotExist(err) {
		return nil, errors.WithStack(err)
	} else if err != nil && (o.ReadOnly || o.Model == "" || o.Dim == 0) {
		return nil, errors.New("does not exist; creating an index takes the model's hash and width")
	}
	f := &File{path: path}
	defer func() {
		if err != nil {
			f.release()
		}
	}()
	mode := "ro"
	if !o.ReadOnly {
		mode = "rwc"
		if f.locked, err = lock(path); err != nil {
			return nil, err
		}
	}
	if f.db, err = database(path, mode, 10*time.Second); err != nil {
		return nil, err
	}
	if f.model, f.dim, err = prepare(f.db, o); err != nil {
		return nil, err
	}
	tx, err := f.db.BeginTx(context.Background(), &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, errors.WithStack(err)
	}
	if f.table, f.next, err = load(context.Background(), tx, f.dim, o.Precision); err != nil {
		tx.Rollback()
		return nil, err
	}
	f.reads = f.db
	if o.ReadOnly {
		f.frozen, f.reads = tx, tx
	} else {
		err = errors.WithStack(tx.Commit())
	}
	return f, err
}

// Close waits for what is under way and closes the file. It may be called
// twice.
func (f *File) Close() error {
	f.writing.Lock()
	defer f.writing.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	f.table = nil
	return errors.Wrapf(f.release(), "search: %s", f.path)
}

// release closes what is open. The lock goes last.
func (f *File) release() (err error) {
	if f.frozen != nil {
		f.frozen.Rollback()
	}
	for _, db := range []*sql.DB{f.db, f.locked} {
		if db != nil {
			if e := db.Close(); err == nil {
				err = errors.WithStack(e)
			}
		}
	}
	return err
}

// Info says what is in the index.
func (f *File) Info(context.Context) (Info, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.closed {
		return Info{}, f.isClosed()
	}
	return Info{
		Model: f.model, Dim: f.dim,
		Items: len(f.table.slots), Images: f.table.images.count, Texts: f.table.texts.count,
		Bytes: size(f.path),
	}, nil
}

func (f *File) isClosed() error { return errors.Errorf("search: %s: the index is closed", f.path) }
