package search

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary be the process that is killed.
func TestMain(m *testing.M) {
	if path := os.Getenv("TESSERA_CRASH_INDEX"); path != "" {
		crash(path)
		return
	}
	os.Exit(m.Run())
}

// crash changes items for ever, and says of every change what it is going to do
// and when it is done.
func crash(path string) {
	ctx := context.Background()
	f, err := Open(path, Options{Dim: 16, Model: "crash"})
	if err != nil {
		fmt.Println("failed", err)
		return
	}
	seed, _ := strconv.ParseUint(os.Getenv("TESSERA_CRASH_SEED"), 10, 64)
	rng := rand.New(rand.NewPCG(seed, 1))
	for step := 0; ; step++ {
		var items []Item
		var ids []string
		for range 1 + rng.IntN(8) {
			v := gauss(rng, 16)
			normalize(v)
			id := strconv.Itoa(rng.IntN(50))
			ids = append(ids, id)
			items = append(items, Item{ID: id, Text: fmt.Sprint(seed, ".", step), TextVector: narrow(v)})
		}
		if rng.IntN(3) == 0 {
			fmt.Printf("delete - %s\n", strings.Join(ids, " "))
			_, err = f.Delete(ctx, ids)
		} else {
			fmt.Printf("put %s %s\n", items[0].Text, strings.Join(ids, " "))
			err = f.Put(ctx, items)
		}
		if err != nil {
			fmt.Println("failed", err)
			return
		}
		fmt.Println("done")
	}
}

// TestKilled ends a writer at random moments: what it said was done is in the
// index, and the change it was at is there whole or not at all.
func TestKilled(t *testing.T) {
	kills := 6
	if s := os.Getenv("TESSERA_KILLS"); s != "" {
		kills = must(strconv.Atoi(s))(t)
	}
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "index")
	items := map[string]string{} // texts by ID
	rng := rand.New(rand.NewPCG(3, uint64(kills)))
	done, total := 0, 0
	for kill := range kills {
		cmd := exec.Command(os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), "TESSERA_CRASH_INDEX="+path, fmt.Sprintf("TESSERA_CRASH_SEED=%d", kill))
		out := must(cmd.StdoutPipe())(t)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// From before it opens to the midst of its work.
		time.AfterFunc(time.Duration(rng.IntN(120_000))*time.Microsecond, func() { cmd.Process.Kill() })
		var begun []string
		lines := bufio.NewReader(out)
		for {
			line, err := lines.ReadString('\n')
			if err == io.EOF { // half a line was not said
				break
			} else if err != nil {
				t.Fatal(err)
			}
			switch words := strings.Fields(line); words[0] {
			case "failed":
				t.Fatalf("kill %d: %s", kill, line)
			case "done":
				apply(items, begun)
				begun = nil
				done++
			default:
				begun = words
			}
		}
		cmd.Wait()
		after := map[string]string{}
		for id, text := range items {
			after[id] = text
		}
		apply(after, begun)

		f := must(Open(path, Options{Dim: 16, Model: "crash"}))(t)
		got := map[string]string{}
		for it, err := range f.All(ctx) {
			got[it.ID] = must(it, err)(t).Text
		}
		if fmt.Sprint(got) != fmt.Sprint(items) && fmt.Sprint(got) != fmt.Sprint(after) {
			t.Fatalf("kill %d while at %v: the index holds\n%v, want\n%v or\n%v", kill, begun, got, items, after)
		}
		info := must(f.Info(ctx))(t)
		if info.Items != len(got) || info.Texts != len(got) {
			t.Errorf("kill %d: %+v, want %d items", kill, info, len(got))
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		items, total = got, total+len(got)
	}
	if done == 0 || total == 0 {
		t.Errorf("%d changes and %d items: every process was killed before it did anything", done, total)
	}
	t.Logf("%d kills, %d acknowledged changes", kills, done)
}

func apply(items map[string]string, change []string) {
	if change == nil {
		return
	}
	for _, id := range change[2:] {
		if change[0] == "put" {
			items[id] = change[1]
		} else {
			delete(items, id)
		}
	}
}
