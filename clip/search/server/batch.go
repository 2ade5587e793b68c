package server

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pkg/errors"
)

// errStopped is for inputs that were waiting when the model was stopped.
var errStopped = errors.New("the server is stopping")

// An input waits for its vector.
type input[T any] struct {
	value T
	key   string // equal for equal values
	cost  int    // pixels, 0 for a text
	ctx   context.Context
	since time.Time
	done  chan answer // holds one
}

// An answer is the vector of an input or why there is none.
type answer struct {
	vector []float32
	err    error
}

// A batcher has the vectors of many requests' inputs computed together. A batch
// starts when it is full or when its first input has waited for the window;
// inputs that came while the one before was computed have waited already.
type batcher[T any] struct {
	compute func(context.Context, []T) []answer // one for each
	max     int                                 // different inputs in a batch
	cost    int                                 // and their cost together
	limit   int                                 // inputs that wait
	window  time.Duration
	size    func(float64) // observes the sizes of batches
	stopped chan struct{}

	mu    sync.Mutex
	queue []*input[T]
	wake  chan struct{} // holds one when the queue has grown
}

func newBatcher[T any](o Options, compute func(context.Context, []T) []answer) *batcher[T] {
	return &batcher[T]{
		compute: compute,
		max:     o.MaxBatch, cost: o.MaxPixels, limit: o.Queue, window: o.Window,
		stopped: make(chan struct{}),
		wake:    make(chan struct{}, 1),
	}
}

// submit queues all inputs or none. Those whose ctx ends leave the queue.
func (b *batcher[T]) submit(ctx context.Context, inputs []*input[T]) error {
	if len(inputs) == 0 {
		return nil
	}
	if len(inputs) > b.limit {
		return refuse(http.StatusRequestEntityTooLarge, "too_many_inputs", "%d inputs of one kind in a request, at most %d are taken", len(inputs), b.limit)
	}
	now := time.Now()
	for _, in := range inputs {
		in.ctx, in.since, in.done = ctx, now, make(chan answer, 1)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue)+len(inputs) > b.limit {
		b.prune()
	}
	if n := len(b.queue); n+len(inputs) > b.limit {
		return refuse(http.StatusTooManyRequests, "queue_full", "%d inputs wait for the model, at most %d may: try again", n, b.limit)
	}
	b.queue = append(b.queue, inputs...)
	select {
	case b.wake <- struct{}{}:
	default:
	}
	return nil
}

// prune drops inputs that nobody waits for any more.
func (b *batcher[T]) prune() {
	kept := b.queue[:0]
	for _, in := range b.queue {
		if in.ctx.Err() == nil {
			kept = append(kept, in)
		}
	}
	clear(b.queue[len(kept):])
	b.queue = kept
}

// waiting is the length of the queue.
func (b *batcher[T]) waiting() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue)
}

// wait gives the answer to an input that was submitted.
func (b *batcher[T]) wait(in *input[T]) ([]float32, error) {
	select {
	case a := <-in.done:
		return a.vector, a.err
	case <-in.ctx.Done():
		return nil, in.ctx.Err()
	case <-b.stopped:
		return nil, errStopped
	}
}

// run computes batches until ctx is done.
func (b *batcher[T]) run(ctx context.Context) {
	defer close(b.stopped)
	for b.gather(ctx) {
		if batch := b.take(); len(batch) > 0 {
			b.serve(ctx, batch)
		}
	}
}

// gather returns when there is something to compute, or false when ctx is done.
func (b *batcher[T]) gather(ctx context.Context) bool {
	for ctx.Err() == nil {
		b.mu.Lock()
		n, left := len(b.queue), time.Duration(0)
		if n > 0 {
			left = b.window - time.Since(b.queue[0].since)
		}
		b.mu.Unlock()
		var over <-chan time.Time
		if n > 0 {
			if n >= b.max || left <= 0 {
				return true
			}
			over = time.After(left)
		}
		select {
		case <-b.wake:
		case <-over:
		case <-ctx.Done():
		}
	}
	return false
}

// take removes the next batch from the queue: at most max different values, and
// all inputs in front that share them.
func (b *batcher[T]) take() [][]*input[T] {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.prune()
	var batch [][]*input[T]
	place, cost, n := make(map[string]int), 0, 0
	for _, in := range b.queue {
		i, seen := place[in.key]
		if !seen {
			if len(batch) == b.max || len(batch) > 0 && cost+in.cost > b.cost {
				break
			}
			i = len(batch)
			place[in.key] = i
			batch = append(batch, nil)
			cost += in.cost
		}
		batch[i] = append(batch[i], in)
		n++
	}
	b.queue = append(b.queue[:0:0], b.queue[n:]...)
	return batch
}

// serve computes a batch and answers all who wait for it. When the last of them
// has gone, the work is broken off.
func (b *batcher[T]) serve(ctx context.Context, batch [][]*input[T]) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	values := make([]T, len(batch))
	var waiting atomic.Int64
	for i, same := range batch {
		values[i] = same[0].value
		waiting.Add(int64(len(same)))
	}
	for _, same := range batch {
		for _, in := range same {
			defer context.AfterFunc(in.ctx, func() {
				if waiting.Add(-1) == 0 {
					cancel()
				}
			})()
		}
	}
	b.size(float64(len(values)))
	for i, a := range b.guarded(ctx, values) {
		for _, in := range batch[i] {
			in.done <- a
		}
	}
}

// guarded computes answers. A panic at one client's input, which is an error of
// ours, must not take the others' accepted writes with it.
func (b *batcher[T]) guarded(ctx context.Context, values []T) (answers []answer) {
	defer func() {
		if p := recover(); p != nil {
			answers = make([]answer, len(values))
			for i := range answers {
				answers[i].err = errors.Errorf("panic in the model: %v", p)
			}
		}
	}()
	return b.compute(ctx, values)
}
