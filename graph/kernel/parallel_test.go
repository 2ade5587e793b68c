package kernel

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestParallelCallsEachPartOnce(t *testing.T) {
	for _, procs := range []int{1, 2, 8} {
		before := runtime.GOMAXPROCS(procs)
		for n := range 200 {
			counts := make([]atomic.Int32, n)
			Parallel(n, func(i int) { counts[i].Add(1) })
			for i := range counts {
				if c := counts[i].Load(); c != 1 {
					t.Fatalf("GOMAXPROCS %d: part %d of %d ran %d times", procs, i, n, c)
				}
			}
		}
		runtime.GOMAXPROCS(before)
	}
}

func TestParallelNestedAndConcurrent(t *testing.T) {
	var total atomic.Int64
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 50 {
				Parallel(7, func(int) { Parallel(5, func(int) { total.Add(1) }) })
			}
		})
	}
	wg.Wait()
	if got, want := total.Load(), int64(20*50*7*5); got != want {
		t.Errorf("%d parts ran, want %d", got, want)
	}
}

func TestParallelPanics(t *testing.T) {
	for range 100 {
		func() {
			defer func() {
				if r := recover(); r != "three" {
					t.Errorf("recovered %v, want three", r)
				}
			}()
			Parallel(8, func(i int) {
				if i == 3 {
					panic("three")
				}
			})
		}()
	}
	ran := false
	Parallel(1, func(int) { ran = true })
	if !ran {
		t.Error("nothing ran after a panic")
	}
}

// A part that takes long makes the caller sleep instead of spin.
func TestParallelSlowPart(t *testing.T) {
	var ended atomic.Int32
	for range 3 {
		Parallel(2, func(i int) {
			if i == 1 {
				time.Sleep(5 * time.Millisecond)
			}
			ended.Add(1)
		})
	}
	if ended.Load() != 6 {
		t.Errorf("%d parts ended before Parallel returned, want 6", ended.Load())
	}
}

func TestHelpersStop(t *testing.T) {
	Parallel(64, func(int) { time.Sleep(time.Microsecond) })
	for range 1000 {
		if helpers.Load() == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("%d helpers are left after a second", helpers.Load())
}
