package pgvector

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"tessera/clip/search"
)

// server answers every connection with these bytes, after reading some, and
// then waits until it is closed.
func server(t *testing.T, answer string) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { close(done); l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.Read(make([]byte, 1024))
				if c.Write([]byte(answer)); answer == "" {
					<-done
				}
			}()
		}
	}()
	return fmt.Sprintf("postgres://me:secret@%s/db?sslmode=disable", l.Addr())
}

func TestOpenRefuses(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	down := fmt.Sprintf("postgres://me:secret@%s/db?sslmode=disable", l.Addr())
	l.Close()
	fatal := "SFATAL\x00C3D000\x00Mdatabase \"db\" does not exist\x00\x00"
	fatal = "E\x00\x00\x00" + string(rune(len(fatal)+4)) + fatal
	for _, tt := range []struct {
		name string
		o    Options
		want string
	}{
		{"a server that is down", Options{URL: down, Table: "items"}, "refused"},
		{"a server of another kind", Options{URL: server(t, "HTTP/1.1 400 Bad Request\r\n\r\n"), Table: "items"}, "pgvector: "},
		{"a server that hangs up", Options{URL: server(t, "R\x00\x00"), Table: "items"}, "pgvector: "},
		{"a database that is not there", Options{URL: server(t, fatal), Table: "items"}, `database "db" does not exist`},
		{"a server that says nothing", Options{URL: server(t, ""), Table: "items"}, "pgvector: "},
		{"a URL that is none", Options{URL: "postgres://me:secret@host:port", Table: "items"}, "pgvector: URL"},
		{"no table", Options{URL: down}, `table ""`},
		{"a table that is SQL", Options{URL: down, Table: `items"; DROP TABLE users; --`}, "want a small letter"},
		{"a table with too long a name", Options{URL: down, Table: strings.Repeat("a", 49)}, "want a small letter"},
		{"a width below 0", Options{URL: down, Table: "items", Dim: -1}, "none below 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			limit := time.Minute
			if tt.name == "a server that says nothing" {
				limit = 100 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			_, err := Open(ctx, tt.o)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells the password: %v", err)
			}
		})
	}
}

func TestWaitingForAConnectionEnds(t *testing.T) {
	config, err := pgx.ParseConfig("postgres://127.0.0.1/db")
	if err != nil {
		t.Fatal(err)
	}
	p := newPool(config, 1)
	conn := <-p.slots // somebody else has it
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err = p.tx(ctx, pgx.TxOptions{}, func(pgx.Tx) error {
		t.Error("the transaction runs without a connection")
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "waiting for a connection") {
		t.Errorf("error %v", err)
	}
	p.release(conn)
	if len(p.slots) != 1 {
		t.Errorf("%d connections to lend, want 1", len(p.slots))
	}
}

func TestFilterKeepsValuesOutOfSQL(t *testing.T) {
	evil := `x'); DROP TABLE items; --`
	for _, op := range []search.Op{search.Equal, search.NotEqual, search.Less, search.GreaterEqual, search.Exists} {
		c := search.Condition{Key: evil, Op: op, Value: evil}
		if op == search.Exists {
			c.Value = nil
		}
		a := args{"first"}
		sql, err := where(search.Filter{c, {Key: "n", Op: search.Greater, Value: float32(2.5)}}, &a)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(sql, "DROP") || strings.Contains(sql, "2.5") {
			t.Errorf("%s: a value is in the statement: %s", op, sql)
		}
		for _, p := range regexp.MustCompile(`\$\d+`).FindAllString(sql, -1) {
			var n int
			if _, err := fmt.Sscanf(p, "$%d", &n); err != nil || n < 2 || n > len(a) {
				t.Errorf("%s: placeholder %s, of %d parameters", op, p, len(a))
			}
		}
		if a[1] != evil || a[len(a)-1] != "2.5" {
			t.Errorf("%s: parameters %q", op, a)
		}
	}
	for _, c := range []search.Condition{
		{Key: "a", Op: "; DROP", Value: 1}, {Key: "a", Op: search.Less, Value: true}, {Key: "a", Op: search.Equal, Value: func() {}},
	} {
		if sql, err := where(search.Filter{c}, new(args)); err == nil {
			t.Errorf("%v becomes %s", c, sql)
		}
	}
}
