package data

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pkg/errors"
)

// numbered is a data set whose image i has the one value i; some cannot be read.
type numbered struct {
	n    int
	bad  []int
	slow bool          // the earlier the example, the longer it takes
	read *atomic.Int64 // examples read, if not nil
}

func (s numbered) Len() int          { return s.n }
func (s numbered) Classes() []string { return []string{"even", "odd"} }

func (s numbered) Example(i int) (Example, error) {
	if s.read != nil {
		s.read.Add(1)
	}
	if s.slow {
		time.Sleep(time.Duration(4-i%5) * 200 * time.Microsecond)
	}
	name := fmt.Sprintf("numbered/%d", i)
	if slices.Contains(s.bad, i) {
		return Example{Name: name}, errors.Errorf("data: %s: damaged", name)
	}
	return Example{Image: &Image{W: 1, H: 1, C: 1, Pix: []uint8{uint8(i)}}, Label: i % 2, Name: name}, nil
}

// pixel is an input of the image's value and a random number.
func pixel() Input {
	return Input{Name: "image", Shape: []int{1, 1, 2}, Fill: func(ex Example, r *rand.Rand, row []float32) error {
		row[0], row[1] = float32(ex.Image.Pix[0]), r.Float32()
		return nil
	}}
}

func newLoader(ds Dataset, batch int) *Loader {
	return &Loader{
		Dataset: ds, Inputs: []Input{pixel(), Labels(2, 0.1)},
		BatchSize: batch, Seed: 7, Shuffle: true, Workers: 2,
		Mix: Mix{Prob: 0.5, Mixup: 0.4, CutMix: 1},
	}
}

// content is everything a minibatch says, with its values copied.
type content struct {
	Values map[string][]float32
	Shapes map[string][]int
	Index  []int
	Mixed  bool
	Epoch  int
	Step   int
}

func contentOf(m Minibatch) content {
	c := content{map[string][]float32{}, map[string][]int{}, slices.Clone(m.Index), m.Mixed, m.Epoch, m.Step}
	for name, t := range m.Batch {
		c.Values[name] = slices.Clone(t.Data().([]float32))
		c.Shapes[name] = slices.Clone([]int(t.Shape()))
	}
	return c
}

// train returns the first n batches from a step on.
func train(t *testing.T, l *Loader, from, n int) []content {
	t.Helper()
	var all []content
	for m, err := range l.Train(from) {
		if err != nil {
			t.Fatal(err)
		}
		if all = append(all, contentOf(m)); len(all) == n {
			break
		}
	}
	return all
}

func epoch(t *testing.T, l *Loader) []content {
	t.Helper()
	var all []content
	for m, err := range l.Epoch() {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, contentOf(m))
	}
	return all
}

func TestTrainIndependentOfWorkers(t *testing.T) {
	var want []content
	var wantSkips []string
	for _, workers := range []int{1, 2, 5, 0} {
		l := newLoader(numbered{n: 203, bad: []int{17, 90}, slow: true}, 10)
		l.Workers = workers
		var skips []string
		l.OnSkip = func(name string, _ error) { skips = append(skips, name) }
		got := train(t, l, 0, 45)
		if want == nil {
			want, wantSkips = got, skips
			continue
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%d workers: batches differ from those of 1", workers)
		}
		if !slices.Equal(skips, wantSkips) {
			t.Errorf("%d workers: skipped %v, want %v", workers, skips, wantSkips)
		}
	}
	if slices.Sort(wantSkips); !slices.Equal(wantSkips, []string{"numbered/17", "numbered/90"}) {
		t.Errorf("skipped %v, want numbered/17 and numbered/90 once each", wantSkips)
	}
}

func TestTrainResumes(t *testing.T) {
	whole := train(t, newLoader(numbered{n: 23}, 5), 0, 14)
	for from := range whole {
		part := train(t, newLoader(numbered{n: 23}, 5), from, len(whole)-from)
		if !reflect.DeepEqual(part, whole[from:]) {
			t.Errorf("from step %d: not the tail of the whole run", from)
		}
	}
}

func TestTrainEpochs(t *testing.T) {
	l := newLoader(numbered{n: 23}, 5)
	l.Mix = Mix{}
	if got := l.StepsPerEpoch(); got != 4 {
		t.Fatalf("StepsPerEpoch = %d, want 4", got)
	}
	var orders [3][]int
	for i, c := range train(t, l, 0, 12) {
		if c.Step != i || c.Epoch != i/4 {
			t.Errorf("batch %d: step %d of epoch %d", i, c.Step, c.Epoch)
		}
		if want := []int{5, 1, 1, 2}; !slices.Equal(c.Shapes["image"], want) {
			t.Errorf("image has shape %v, want %v", c.Shapes["image"], want)
		}
		for row, k := range c.Index {
			if got := c.Values["image"][2*row]; got != float32(k) {
				t.Errorf("row of example %d shows %g", k, got)
			}
			if got := c.Values["label"][2*row+k%2]; got != 0.95 {
				t.Errorf("label of example %d = %g, want 0.95", k, got)
			}
		}
		orders[c.Epoch] = append(orders[c.Epoch], c.Index...)
	}
	for e, order := range orders {
		seen := map[int]bool{}
		for _, k := range order {
			seen[k] = true
		}
		if len(seen) != 20 {
			t.Errorf("epoch %d: %d different examples, want 20", e, len(seen))
		}
	}
	if slices.Equal(orders[0], orders[1]) || slices.IsSorted(orders[0]) {
		t.Error("epochs are not shuffled anew")
	}
	l.Shuffle = false
	if got := train(t, l, 5, 1)[0].Index; !slices.Equal(got, []int{5, 6, 7, 8, 9}) {
		t.Errorf("unshuffled step 5 has examples %v, want 5 to 9", got)
	}
	l.Shuffle, l.Seed = true, 8
	if got := train(t, l, 0, 1)[0].Index; slices.Equal(got, orders[0][:5]) {
		t.Error("another seed gives the same order")
	}
}

func TestTrainReplacesUnreadable(t *testing.T) {
	l := newLoader(numbered{n: 400, bad: []int{3, 4, 399}}, 100)
	l.Shuffle, l.Mix = false, Mix{}
	got := train(t, l, 0, 4)
	if want := []int{2, 5, 5, 5}; !slices.Equal(got[0].Index[2:6], want) {
		t.Errorf("examples in rows 2 to 5: %v, want %v", got[0].Index[2:6], want)
	}
	if got := got[0].Values["image"][2*3]; got != 5 {
		t.Errorf("row 3 shows example %g, want 5", got)
	}
	if last := got[3].Index[99]; last != 0 {
		t.Errorf("the last example was replaced by %d, want 0", last)
	}
	if l.Skipped() != 3 {
		t.Errorf("Skipped = %d, want 3", l.Skipped())
	}
}

func TestTooManyUnreadable(t *testing.T) {
	all := func(n int) (bad []int) {
		for i := range n {
			bad = append(bad, i)
		}
		return bad
	}
	for _, tt := range []struct {
		name string
		n    int
		bad  []int
		want string // in the error; empty: none
	}{
		{"one of a few may fail", 20, []int{7}, ""},
		{"two of a few may not", 20, []int{7, 9}, "2 of 20 examples cannot be read, at most 1 may fail; the first is numbered/7"},
		{"one in a hundred may fail", 300, []int{1, 2, 150}, ""},
		{"more may not", 300, []int{1, 2, 150, 151}, "4 of 300 examples cannot be read, at most 3 may fail; the first is numbered/1"},
		{"nothing can be read", 5, all(5), "2 of 5 examples cannot be read, at most 1 may fail; the first is numbered/0"},
		{"the only one cannot be read", 1, all(1), "1 of 1 examples cannot be read, at most 0 may fail; the first is numbered/0"},
	} {
		for _, mode := range []string{"Train", "Epoch"} {
			t.Run(tt.name+"/"+mode, func(t *testing.T) {
				l := newLoader(numbered{n: tt.n, bad: tt.bad}, 1)
				l.Shuffle, l.Mix = false, Mix{}
				run := l.Epoch()
				if mode == "Train" {
					run = l.Train(0)
				}
				steps := 0
				var err error
				for _, err = range run {
					if steps++; err != nil || steps == 2*tt.n {
						break
					}
				}
				if tt.want == "" {
					if err != nil || l.Skipped() != len(tt.bad) {
						t.Errorf("error %v after skipping %d, want none after %d", err, l.Skipped(), len(tt.bad))
					}
					return
				}
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want %q", err, tt.want)
				}
			})
		}
	}
}

func TestEpoch(t *testing.T) {
	for _, tt := range []struct {
		name     string
		n, batch int
		bad      []int
		want     []int // batch sizes
	}{
		{"ends with a short batch", 11, 4, nil, []int{4, 4, 3}},
		{"divides evenly", 8, 4, nil, []int{4, 4}},
		{"batch larger than the data set", 3, 10, nil, []int{3}},
		{"closes the gap of an unreadable example", 11, 4, []int{2}, []int{4, 4, 2}},
		{"unreadable at the end", 9, 4, []int{8}, []int{4, 4}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var want []content
			for _, workers := range []int{1, 2, 5} {
				l := newLoader(numbered{n: tt.n, bad: tt.bad, slow: true}, tt.batch)
				l.Workers = workers
				got := epoch(t, l)
				if l.Skipped() != len(tt.bad) {
					t.Errorf("Skipped = %d, want %d", l.Skipped(), len(tt.bad))
				}
				if want == nil {
					want = got
				} else if !reflect.DeepEqual(got, want) {
					t.Errorf("%d workers: batches differ from those of 1", workers)
				}
			}
			var sizes, order, examples []int
			for i, c := range want {
				sizes = append(sizes, len(c.Index))
				order = append(order, c.Index...)
				if c.Step != i || c.Mixed || c.Shapes["label"][0] != len(c.Index) {
					t.Errorf("batch %d: step %d, mixed %t, label of shape %v", i, c.Step, c.Mixed, c.Shapes["label"])
				}
				for row, k := range c.Index {
					if got := c.Values["image"][2*row]; got != float32(k) {
						t.Errorf("row of example %d shows %g", k, got)
					}
				}
			}
			for i := range tt.n {
				if !slices.Contains(tt.bad, i) {
					examples = append(examples, i)
				}
			}
			if !slices.Equal(sizes, tt.want) || !slices.Equal(order, examples) {
				t.Errorf("batches of %v with examples %v, want %v with %v", sizes, order, tt.want, examples)
			}
		})
	}
}

// Whoever stops early must not leave goroutines behind, nor may the loader read
// far ahead.
func TestStopEndsWorkers(t *testing.T) {
	before := runtime.NumGoroutine()
	var read atomic.Int64
	for range 20 {
		read.Store(0)
		l := newLoader(numbered{n: 1000, read: &read}, 10)
		l.Workers = 8
		for _, err := range l.Train(0) {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		if n := read.Load(); n < 10 || n > 10*(2+ahead) {
			t.Fatalf("%d examples read for one batch of 10", n)
		}
		for range l.Epoch() {
			break
		}
		func() {
			defer func() { recover() }()
			for range l.Train(0) {
				panic("the consumer fails")
			}
		}()
	}
	// Helpers of package kernel may look out for work a moment longer.
	after := runtime.NumGoroutine()
	for end := time.Now().Add(time.Second); after > before && time.Now().Before(end); after = runtime.NumGoroutine() {
		time.Sleep(time.Millisecond)
	}
	if after > before {
		t.Errorf("%d goroutines, %d before", after, before)
	}
}

func TestLoaderRejects(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Loader)
		from   int
		want   string
	}{
		{"no data set", func(l *Loader) { l.Dataset = nil }, 0, "no data set"},
		{"empty data set", func(l *Loader) { l.Dataset = numbered{} }, 0, "empty"},
		{"batch of none", func(l *Loader) { l.BatchSize = 0 }, 0, "batch size is 0"},
		{"batch larger than the data set", func(l *Loader) { l.BatchSize = 65 }, 0, "batch size 65 exceeds the data set's 64 examples"},
		{"negative step", func(l *Loader) {}, -3, "step -3"},
		{"no inputs", func(l *Loader) { l.Inputs = nil }, 0, "no inputs"},
		{"two inputs of one name", func(l *Loader) { l.Inputs = []Input{pixel(), pixel()} }, 0, `two inputs are called "image"`},
		{"input of no size", func(l *Loader) { l.Inputs = []Input{Labels(0, 0)} }, 0, `input "label" has shape [0]`},
		{"input without a function", func(l *Loader) { l.Inputs = []Input{{Name: "x"}} }, 0, `input "x" lacks`},
		{"mix out of range", func(l *Loader) { l.Mix.Prob = 2 }, 0, "probability is 2"},
		{"mix without an image", func(l *Loader) { l.Inputs, l.Mix.Prob = []Input{Labels(2, 0)}, 1 }, 0, `no "image"`},
		{"label without a class", func(l *Loader) { l.Inputs = []Input{Labels(1, 0)} }, 0, `input "label" of numbered/`},
		{"smoothing out of range", func(l *Loader) { l.Inputs = []Input{Labels(2, 1.5)} }, 0, "smoothing is 1.5"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLoader(numbered{n: 64}, 8)
			tt.change(l)
			n := 0
			for _, err := range l.Train(tt.from) {
				if n++; err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Fatalf("error %v, want %q", err, tt.want)
				}
			}
			if n != 1 {
				t.Errorf("%d yields, want the error alone", n)
			}
		})
	}
}

// The image input augments, preprocesses and lays out channels first.
func TestImages(t *testing.T) {
	p := ViTPreprocess(2)
	p.DoResize = false
	in := Images(p, func(im *Image, r *rand.Rand) *Image {
		out := im.Clone()
		for i := range out.Pix {
			out.Pix[i] = 255 - out.Pix[i]
		}
		return out
	})
	im := NewImage(2, 2, 3)
	im.Pix[3*2+1] = 255 // green at the bottom left
	row := make([]float32, 12)
	if err := in.Fill(Example{Image: im}, rand.New(rand.NewPCG(1, 1)), row); err != nil {
		t.Fatal(err)
	}
	want := []float32{1, 1, 1, 1, 1, 1, -1, 1, 1, 1, 1, 1}
	if !slices.Equal(in.Shape, []int{3, 2, 2}) || !slices.Equal(row, want) {
		t.Errorf("shape %v, values %v, want %v", in.Shape, row, want)
	}
	if im.Pix[0] != 0 {
		t.Error("the example was modified")
	}
	if err := in.Fill(Example{Image: NewImage(3, 2, 3)}, nil, row); err == nil {
		t.Error("an image of the wrong size was accepted")
	}
}
