package simd

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// widths are numbers of columns that meet every tail.
var widths = []int{1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 65, 127, 128, 130, 197, 300}

// shape is a number of rows and of columns.
type shape struct{ rows, n int }

func shapes() []shape {
	var s []shape
	for i, n := range widths {
		s = append(s, shape{1 + i%4, n})
	}
	return s
}

// within compares with a tolerance of the result, or of 1 where it is smaller.
func within(t *testing.T, what string, got []float32, want []float64, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d elements, want %d", what, len(got), len(want))
	}
	for i, w := range want {
		if g := float64(got[i]); !(math.Abs(g-w) <= tol*max(1, math.Abs(w))) && g != w && (g == g || w == w) {
			t.Fatalf("%s: element %d = %v, want %v", what, i, g, w)
		}
	}
}

// twice calls f with memory that begins behind a guard, then with memory that
// ends before one. Memory holds NaN or a copy of what is given.
func twice(t *testing.T, f func(empty func(n int) []float32, copied func(x []float32) []float32)) {
	for place := range 2 {
		empty := func(n int) []float32 {
			front, back := guarded[float32](t, n)
			x := [][]float32{front, back}[place]
			for i := range x {
				x[i] = float32(math.NaN())
			}
			return x
		}
		f(empty, func(x []float32) []float32 {
			if x == nil {
				return nil
			}
			c := empty(len(x))
			copy(c, x)
			return c
		})
	}
}

func wide64(x []float32) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	return out
}

func TestSoftmaxRows(t *testing.T) {
	inf := float32(math.Inf(-1))
	atLevels(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(1, 2))
		for _, s := range shapes() {
			size := s.rows * s.n
			x := normal(rng, make([]float32, size), 8)
			row, full := normal(rng, make([]float32, s.n), 1), normal(rng, make([]float32, size), 1)
			for _, m := range [][]float32{row, full} {
				for i := range m {
					if rng.IntN(3) == 0 {
						m[i] = inf
					}
				}
			}
			for _, mask := range [][]float32{nil, row, full} {
				for _, scale := range []float32{1, 0.25} {
					want := make([]float64, size)
					for r := range s.rows {
						z := make([]float64, s.n)
						top, sum := math.Inf(-1), 0.0
						for j := range z {
							z[j] = float64(x[r*s.n+j] * scale)
							if mask != nil {
								z[j] = float64(float32(z[j]) + mask[(r*s.n+j)%len(mask)])
							}
							top = max(top, z[j])
						}
						if math.IsInf(top, -1) {
							continue
						}
						for j := range z {
							z[j] = math.Exp(z[j] - top)
							sum += z[j]
						}
						for j := range z {
							want[r*s.n+j] = z[j] / sum
						}
					}
					what := fmt.Sprint(s, " mask ", len(mask), " scale ", scale)
					twice(t, func(empty func(int) []float32, copied func([]float32) []float32) {
						y := empty(size)
						Softmax(y, copied(x), copied(mask), s.n, scale)
						within(t, what, y, want, 3e-7)
						again := copied(x)
						Softmax(again, again, mask, s.n, scale)
						same(t, what+" in place", again, y)
					})
				}
			}
		}
	})
}

func TestSoftmaxSpecialRows(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	atLevels(t, func(t *testing.T) {
		for _, tt := range []struct {
			name          string
			x, mask, want []float32
		}{
			{"masked throughout", []float32{-inf, -inf, -inf}, nil, []float32{0, 0, 0}},
			{"masked by the mask", []float32{1, 2, 3}, []float32{-inf, -inf, -inf}, []float32{0, 0, 0}},
			{"NaN", []float32{1, nan, 2}, nil, []float32{nan, nan, nan}},
			{"NaN among masked", []float32{-inf, nan, -inf}, nil, []float32{nan, nan, nan}},
			{"infinite", []float32{1, inf, 2}, nil, []float32{nan, nan, nan}},
			{"huge", []float32{3e38, 3e38, -3e38}, nil, []float32{0.5, 0.5, 0}},
			{"greatest negative", []float32{-math.MaxFloat32, -math.MaxFloat32}, nil, []float32{0.5, 0.5}},
			{"denormal", []float32{1e-45, 0, 1e-40, -1e-45}, nil, []float32{0.25, 0.25, 0.25, 0.25}},
		} {
			y := make([]float32, len(tt.x))
			Softmax(y, tt.x, tt.mask, len(y), 1)
			same(t, tt.name, y, tt.want)
		}
	})
}

func TestLayerNorm(t *testing.T) {
	atLevels(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(3, 4))
		for _, s := range shapes() {
			for _, affine := range []bool{false, true} {
				testLayerNorm(t, rng, s, affine)
			}
		}
	})
}

func testLayerNorm(t *testing.T, rng *rand.Rand, s shape, affine bool) {
	const eps = 1e-5
	size := s.rows * s.n
	x, dy := normal(rng, make([]float32, size), 2), normal(rng, make([]float32, size), 1)
	for i := range x {
		x[i] += 3
	}
	var w, b []float32
	if affine {
		w, b = normal(rng, make([]float32, s.n), 1), normal(rng, make([]float32, s.n), 1)
	}
	weight := func(j int) (float64, float64) {
		if w == nil {
			return 1, 0
		}
		return float64(w[j]), float64(b[j])
	}
	mean, rstd := make([]float32, s.rows), make([]float32, s.rows)
	wantY, wantX := make([]float64, size), make([]float64, size)
	wantW, wantB := make([]float64, s.n), make([]float64, s.n)
	for r := range s.rows {
		row, above := wide64(x[r*s.n:(r+1)*s.n]), wide64(dy[r*s.n:(r+1)*s.n])
		var m, v float64
		for _, u := range row {
			m += u / float64(s.n)
		}
		for _, u := range row {
			v += (u - m) * (u - m) / float64(s.n)
		}
		scale := 1 / math.Sqrt(v+eps)
		mean[r], rstd[r] = float32(m), float32(scale)
		var sum, inner float64
		for j, u := range row {
			k, c := weight(j)
			wantY[r*s.n+j] = (u-m)*scale*k + c
			h := (u - float64(mean[r])) * float64(rstd[r]) // the backward pass reads rounded ones
			sum += above[j] * k / float64(s.n)
			inner += above[j] * k * h / float64(s.n)
			wantW[j] += above[j] * h
			wantB[j] += above[j]
		}
		for j, u := range row {
			k, _ := weight(j)
			h := (u - float64(mean[r])) * float64(rstd[r])
			wantX[r*s.n+j] = float64(rstd[r]) * (above[j]*k - sum - h*inner)
		}
	}
	what := fmt.Sprint(s, " affine ", affine)
	twice(t, func(empty func(int) []float32, copied func([]float32) []float32) {
		y, gotMean, gotRstd := empty(size), empty(s.rows), empty(s.rows)
		LayerNorm(y, gotMean, gotRstd, copied(x), copied(w), copied(b), eps, s.n)
		within(t, "y "+what, y, wantY, 6e-7)
		same(t, "mean "+what, gotMean, mean)
		within(t, "rstd "+what, gotRstd, wide64(rstd), 2e-7)

		dx, dw, db := empty(size), empty(s.n), empty(s.n)
		clear(dw)
		clear(db)
		LayerNormBackward(dx, dw, db, copied(x), copied(w), copied(mean), copied(rstd), copied(dy), s.n)
		tol := 2e-6 * float64(1+rstd[0])
		if s.n == 1 {
			tol = 1 // rstd is 1/√eps: differences of equal numbers, enlarged
		}
		within(t, "dx "+what, dx, wantX, tol)
		within(t, "dweight "+what, dw, wantW, tol)
		within(t, "dbias "+what, db, wantB, 2e-6)

		alone := empty(size)
		LayerNormBackward(alone, nil, nil, copied(x), copied(w), mean, rstd, copied(dy), s.n)
		same(t, "dx alone "+what, alone, dx)
		dw2, db2 := make([]float32, s.n), make([]float32, s.n)
		LayerNormBackward(nil, dw2, db2, x, w, mean, rstd, dy, s.n)
		same(t, "dweight alone "+what, dw2, dw)
		same(t, "dbias alone "+what, db2, db)
	})
}

func TestLayerNormOfLargeAndHugeNumbers(t *testing.T) {
	atLevels(t, func(t *testing.T) {
		for _, x := range [][]float32{{1e4 + 1, 1e4 - 1, 1e4 + 1, 1e4 - 1}, {1e30, -1e30, 1e30, -1e30}, {1e-38, -1e-38, 1e-38, -1e-38}} {
			y, mean, rstd := make([]float32, 4), make([]float32, 1), make([]float32, 1)
			LayerNorm(y, mean, rstd, x, nil, nil, 0, 4)
			if x[0] == 1e-38 {
				continue // rstd is beyond float32
			}
			within(t, fmt.Sprint(x), y, []float64{1, -1, 1, -1}, 1e-6)
		}
	})
}

func TestAddRows(t *testing.T) {
	atLevels(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(5, 6))
		for _, n := range widths {
			for _, rows := range []int{0, 1, 2, 9} {
				for _, gap := range []int{0, 5} {
					stride := n + gap
					x := normal(rng, make([]float32, max(0, rows*stride-gap)), 1)
					start := wide64(normal(rng, make([]float32, n), 1))
					want := append([]float64(nil), start...)
					for r := range rows {
						for j := range want {
							want[j] += float64(x[r*stride+j])
						}
					}
					front, back := guarded[float64](t, n)
					fx, bx := guarded[float32](t, len(x))
					copy(fx, x)
					copy(bx, x)
					for k, sum := range [][]float64{front, back} {
						copy(sum, start)
						AddRows(sum, [][]float32{fx, bx}[k], rows, stride)
						for j, w := range want {
							if sum[j] != w {
								t.Fatalf("%d rows of %d: sum %d = %v, want %v", rows, n, j, sum[j], w)
							}
						}
					}
				}
			}
		}
	})
}

func TestAdamWEqualsPlainCode(t *testing.T) {
	c := AdamW{Scale: 0.7, Keep: 0.999, Mix1: 0.1, Beta2: 0.99, Mix2: 0.01, Rate: 0.02, Root2: 3, Eps: 1e-8}
	atLevels(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(7, 8))
		for _, n := range sizes {
			w, d := normal(rng, make([]float32, n), 1), normal(rng, make([]float32, n), 1)
			m, s := normal(rng, make([]float32, n), 1), normal(rng, make([]float32, n), 1)
			for i := range s {
				s[i] *= s[i]
			}
			if n > 3 {
				d[0], d[1], s[2], d[2] = 0, float32(math.NaN()), 0, 1e-30
			}
			twice(t, func(empty func(int) []float32, copied func([]float32) []float32) {
				gw, gm, gs := copied(w), copied(m), copied(s)
				c.Step(gw, copied(d), gm, gs)
				ww, wm, ws := make([]float32, n), make([]float32, n), make([]float32, n)
				for i := range n {
					grad := d[i] * c.Scale
					wm[i] = m[i] + float32((grad-m[i])*c.Mix1)
					ws[i] = float32(s[i]*c.Beta2) + float32(float32(grad*grad)*c.Mix2)
					root := float32(float32(math.Sqrt(float64(ws[i])))*c.Root2) + c.Eps
					ww[i] = float32(w[i]*c.Keep) - float32(c.Rate*(wm[i]/root))
				}
				same(t, "w", gw, ww)
				same(t, "m", gm, wm)
				same(t, "s", gs, ws)
			})
		}
	})
}

func TestDropout(t *testing.T) {
	mix := func(z uint64) uint64 {
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		return z ^ z>>31
	}
	nan := float32(math.NaN())
	atLevels(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(9, 10))
		for _, n := range sizes {
			for _, drop := range []uint64{0, 1 << 61, 1 << 63, math.MaxUint64 / 10 * 9} {
				state, x := rng.Uint64(), normal(rng, make([]float32, n), 1)
				if n > 5 {
					x[5] = nan
				}
				want := make([]float32, n)
				for i := range want {
					if z := state + uint64(i)*0x9e3779b97f4a7c15; mix(z) < drop {
						want[i] = 0 * x[i]
					} else {
						want[i] = 2 * x[i]
					}
				}
				twice(t, func(empty func(int) []float32, copied func([]float32) []float32) {
					y := empty(n)
					Dropout(y, copied(x), state, drop, 2)
					same(t, fmt.Sprint(n, " below ", drop), y, want)
				})
			}
		}
	})
}
