package kernel

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
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
	j := jobs.Get().(*job)
	j.f, j.n = f, int64(n)
	j.next.Store(0)
	j.left.Store(int64(n))
	j.state.Store(running)
	j.refs.Store(1)
	for range workers - 1 {
		j.refs.Add(1)
		select {
		case offers <- j:
		default: // enough work is waiting
			j.refs.Add(-1)
		}
	}
	for helpers.Load() < int32(workers-1) {
		helpers.Add(1)
		go help()
	}
	j.work()
	j.wait()
	failed := j.failed.Swap(nil)
	j.release()
	if failed != nil {
		panic(*failed)
	}
}

// job is one call of Parallel. Whoever takes part claims the next of its parts
// until none is left, so that a helper that comes late delays nobody.
type job struct {
	f      func(i int)
	n      int64
	next   atomic.Int64 // part to be claimed
	left   atomic.Int64 // parts that have not ended
	state  atomic.Int32
	failed atomic.Pointer[any]
	refs   atomic.Int32 // the caller and the offers
	ended  chan struct{}
}

const (
	running = iota
	parked  // the caller sleeps
	over    // all parts have ended
)

var (
	jobs    = sync.Pool{New: func() any { return &job{ended: make(chan struct{}, 1)} }}
	offers  = make(chan *job, 256)
	helpers atomic.Int32
)

const (
	// Helpers and callers look out for work for so long before they stop:
	// starting a thread takes longer than most gaps between two operations.
	patience = 300 * time.Microsecond
	// looks is how often they look before they read the clock and let others
	// run.
	looks = 100
)

// help takes part in jobs until none is offered for a while.
func help() {
	defer helpers.Add(-1)
	for {
		var j *job
		if !spin(func() bool {
			select {
			case j = <-offers:
				return true
			default:
				return false
			}
		}) {
			return
		}
		j.work()
		j.release()
	}
}

// spin waits until ready, but not for long.
func spin(ready func() bool) bool {
	start := time.Now()
	for {
		for range looks {
			if ready() {
				return true
			}
		}
		if time.Since(start) > patience {
			return false
		}
		runtime.Gosched()
	}
}

func (j *job) work() {
	for i := j.next.Add(1) - 1; i < j.n; i = j.next.Add(1) - 1 {
		j.part(int(i))
	}
}

func (j *job) part(i int) {
	defer func() {
		if r := recover(); r != nil {
			reason := r // r itself would move to the heap on every call
			j.failed.CompareAndSwap(nil, &reason)
		}
		if j.left.Add(-1) == 0 && !j.state.CompareAndSwap(running, over) {
			j.ended <- struct{}{}
		}
	}()
	if j.failed.Load() == nil {
		j.f(i)
	}
}

// wait returns when all parts have ended.
func (j *job) wait() {
	if !spin(func() bool { return j.state.Load() == over }) && j.state.CompareAndSwap(running, parked) {
		<-j.ended
	}
}

// release gives the job back when nobody can look at it any more.
func (j *job) release() {
	if j.refs.Add(-1) == 0 {
		j.f = nil
		jobs.Put(j)
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
