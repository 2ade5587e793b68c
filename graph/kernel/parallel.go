package kernel

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Parallel calls f(0), …, f(n−1) on up to GOMAXPROCS goroutines, in no
// particular order, and returns when all have ended. Whoever divides work into
// n parts must do so by its size alone. A panic in f is raised again in the
// caller.
func Parallel(n int, f func(i int)) {
	workers := min(n, runtime.GOMAXPROCS(0))
	if workers <= 1 {
		for i := range n {
			f(i)
		}
		return
	}
	var (
		next   atomic.Int64
		failed atomic.Pointer[any]
		wg     sync.WaitGroup
	)
	work := func() {
		defer func() {
			if r := recover(); r != nil {
				failed.CompareAndSwap(nil, &r)
			}
		}()
		for i := next.Add(1) - 1; i < int64(n) && failed.Load() == nil; i = next.Add(1) - 1 {
			f(int(i))
		}
	}
	for range workers - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
	if r := failed.Load(); r != nil {
		panic(*r)
	}
}

// grain is the least number of elementary operations worth a goroutine.
const grain = 1 << 14

// Chunks divides n items of about cost elementary operations each into equal
// runs and calls f(lo, hi) for every run, in parallel. The division depends on
// n and cost alone.
func Chunks(n, cost int, f func(lo, hi int)) {
	size := max(1, grain/max(1, cost))
	parts := (n + size - 1) / size
	if parts <= 1 {
		if n > 0 {
			f(0, n)
		}
		return
	}
	Parallel(parts, func(i int) { f(i*size, min(n, (i+1)*size)) })
}
