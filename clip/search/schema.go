package search

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pkg/errors"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// A row number is never used twice, so that what was read by one number
// belongs together.
const schema = `
CREATE TABLE model (hash TEXT NOT NULL, dim INTEGER NOT NULL) STRICT;
CREATE TABLE items (
	row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
	image TEXT NOT NULL, text TEXT NOT NULL, meta TEXT NOT NULL
) STRICT;
CREATE TABLE image_vectors (row INTEGER PRIMARY KEY, vector BLOB NOT NULL) STRICT;
CREATE TABLE text_vectors (row INTEGER PRIMARY KEY, vector BLOB NOT NULL) STRICT;
PRAGMA application_id = 1414746947;
PRAGMA user_version = 1;`

const (
	application = 1414746947 // "TSSC"
	format      = 1
	// Rows of vectors fill large pages better.
	pageSize = 16 << 10
)

// database opens a file by SQLite; mode is ro or rwc.
func database(path, mode string, patience time.Duration) (*sql.DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, errors.WithStack(err)
	}
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a drive's letter
	}
	q := url.Values{
		"mode":         {mode},
		"_pragma":      {"trusted_schema(OFF)", "cache_size(-16384)"},
		"_timeout":     {strconv.FormatInt(patience.Milliseconds(), 10)},
		"_synchronous": {"FULL"}, // with WAL: a commit survives loss of power
		"_txlock":      {"immediate"},
		"_defensive":   {"1"},
	}
	return sql.Open("sqlite", "file://"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode())
}

// lock keeps other processes from writing until it is closed or the process
// ends.
func lock(path string) (*sql.DB, error) {
	db, err := database(path+".lock", "rwc", time.Second)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	// Nothing is ever written, so the file stays empty.
	if _, err := db.Exec("BEGIN EXCLUSIVE"); err != nil {
		db.Close()
		if strings.Contains(err.Error(), "SQLITE_BUSY") {
			return nil, errors.New("another process has it open for writing; end that, or open it for reading only")
		}
		return nil, errors.Wrapf(err, "cannot lock %s", path+".lock")
	}
	return db, nil
}

// prepare makes sure that a database holds an index, creating one if it is
// empty, and returns its model and width.
func prepare(db *sql.DB, o Options) (model string, dim int, err error) {
	ctx := context.Background()
	c, err := db.Conn(ctx)
	if err != nil {
		return "", 0, unreadable(err)
	}
	defer c.Close()
	var app, version, tables int
	for _, p := range []struct {
		query string
		dst   *int
	}{
		{"PRAGMA application_id", &app},
		{"PRAGMA user_version", &version},
		{"SELECT count(*) FROM sqlite_schema", &tables},
	} {
		if err := c.QueryRowContext(ctx, p.query).Scan(p.dst); err != nil {
			return "", 0, unreadable(err)
		}
	}
	switch {
	case app == 0 && version == 0 && tables == 0:
		if err := o.create(ctx, c); err != nil {
			return "", 0, err
		}
	case app != application:
		return "", 0, errors.New("is an SQLite database of another program, not a search index")
	case version != format:
		return "", 0, errors.Errorf("is an index of format %d, this program knows format %d", version, format)
	}
	if !o.ReadOnly {
		if _, err := c.ExecContext(ctx, "PRAGMA journal_mode = WAL"); err != nil {
			return "", 0, unreadable(err)
		}
	}
	if err := c.QueryRowContext(ctx, "SELECT hash, dim FROM model").Scan(&model, &dim); err != nil {
		return "", 0, unreadable(err)
	}
	if dim < 1 || dim > maxDim {
		return "", 0, errors.Errorf("is damaged: it says its vectors have %d elements", dim)
	}
	if o.Model != "" && o.Model != model {
		return "", 0, errors.Errorf("holds vectors of model %s, not of model %s; use that model, or index again into a new file", model, o.Model)
	}
	if o.Dim != 0 && o.Dim != dim {
		return "", 0, errors.Errorf("holds vectors of %d elements, not of %d; use the model that made it, or index again into a new file", dim, o.Dim)
	}
	return model, dim, nil
}

// create makes an index of nothing, at once or not at all.
func (o Options) create(ctx context.Context, c *sql.Conn) error {
	switch {
	case o.ReadOnly:
		return errors.New("is empty")
	case o.Model == "" || o.Dim == 0:
		return errors.New("there is no index yet; creating one takes the model's hash and width")
	}
	if _, err := c.ExecContext(ctx, fmt.Sprintf("PRAGMA page_size = %d", pageSize)); err != nil {
		return errors.WithStack(err)
	}
	tx, err := c.BeginTx(ctx, nil)
	if err != nil {
		return errors.WithStack(err)
	}
	defer tx.Rollback()
	if _, err := tx.Exec(schema); err != nil {
		return errors.Wrap(err, "cannot create the tables")
	}
	if _, err := tx.Exec("INSERT INTO model VALUES (?, ?)", o.Model, o.Dim); err != nil {
		return errors.WithStack(err)
	}
	return errors.WithStack(tx.Commit())
}

// unreadable explains an error while a file is opened.
func unreadable(err error) error {
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return errors.New("is damaged: it does not say which model made it")
	case strings.Contains(err.Error(), "not a database"):
		return errors.New("is not a search index")
	}
	return errors.Wrap(err, "cannot be read")
}

// size of a database and its log, in bytes.
func size(path string) (bytes int64) {
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(path + suffix); err == nil {
			bytes += info.Size()
		}
	}
	return bytes
}
