package pgvector

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pkg/errors"
)

// A pool lends connections, each to one caller at a time. It makes them when
// they are needed, and anew when they broke.
type pool struct {
	config *pgx.ConnConfig
	slots  chan *pgx.Conn // nil: not connected

	mu     sync.Mutex
	closed bool
}

func newPool(config *pgx.ConnConfig, n int) *pool {
	p := &pool{config: config, slots: make(chan *pgx.Conn, n)}
	for range n {
		p.slots <- nil
	}
	return p
}

// tx runs f in a transaction, which is rolled back if f gives an error.
func (p *pool) tx(ctx context.Context, o pgx.TxOptions, f func(pgx.Tx) error) error {
	var conn *pgx.Conn
	select {
	case conn = <-p.slots:
	case <-ctx.Done():
		return errors.Wrap(ctx.Err(), "pgvector: waiting for a connection")
	}
	defer func() { p.release(conn) }()
	var tx pgx.Tx
	if conn != nil {
		// A connection that broke while idle fails before anything was done.
		var err error
		if tx, err = conn.BeginTx(ctx, o); err != nil {
			end(conn)
			conn = nil
		}
	}
	if conn == nil {
		c, err := pgx.ConnectConfig(ctx, p.config.Copy())
		if err != nil {
			return errors.Wrap(err, "pgvector")
		}
		conn = c
		if tx, err = conn.BeginTx(ctx, o); err != nil {
			return errors.Wrap(err, "pgvector")
		}
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	if err := f(tx); err != nil {
		return err
	}
	return errors.Wrap(tx.Commit(ctx), "pgvector")
}

func (p *pool) release(conn *pgx.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if conn != nil && (p.closed || conn.IsClosed()) {
		end(conn)
		conn = nil
	}
	p.slots <- conn
}

func (p *pool) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for range len(p.slots) {
		conn := <-p.slots
		if conn != nil {
			end(conn)
		}
		p.slots <- nil
	}
	return nil
}

// end closes a connection, waiting no longer than a server needs that is alive.
func end(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn.Close(ctx) // an error says that it was broken already
}
