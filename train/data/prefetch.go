package data

import (
	"iter"
	"sync"
)

// ahead is the number of batches made ready while the consumer works on one.
const ahead = 2

// prefetch has the loader's workers make the planned drafts ready and yields
// them in order. Besides the consumer's no more than ahead drafts have memory.
// All goroutines have ended when the iteration has, for whatever reason.
func (l *Loader) prefetch(plan iter.Seq[*draft]) iter.Seq[*draft] {
	type job struct {
		d   *draft
		row int
	}
	return func(yield func(*draft) bool) {
		var wg sync.WaitGroup
		stop := make(chan struct{})
		jobs := make(chan job)
		queue := make(chan *draft, ahead)
		defer wg.Wait()
		defer close(stop)

		wg.Go(func() {
			defer close(queue)
			defer close(jobs)
			for d := range plan {
				select {
				case queue <- d:
				case <-stop:
					return
				}
				d.allocate(l.Inputs)
				for row := range d.index {
					select {
					case jobs <- job{d, row}:
					case <-stop:
						return
					}
				}
			}
		})
		for range l.workers() {
			wg.Go(func() {
				for j := range jobs {
					l.prepare(j.d, j.row)
				}
			})
		}
		for d := range queue {
			<-d.done
			if !yield(d) {
				return
			}
		}
	}
}
