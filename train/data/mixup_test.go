package data

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/tensor"
)

// distinct is a batch whose image i has the one value i and whose label is
// one-hot.
func distinct(B, C, S int) Batch {
	images, labels := make([]float32, B*C*S*S), make([]float32, B*B)
	for i := range images {
		images[i] = float32(i / (C * S * S))
	}
	for i := range B {
		labels[i*B+i] = 1
	}
	return Batch{"image": dense(images, B, []int{C, S, S}), "label": dense(labels, B, []int{B})}
}

func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// Whatever is mixed, the mean of an image says by how much, and its label must
// say the same.
func TestMixLabelsMatchImages(t *testing.T) {
	for _, tt := range []struct {
		name    string
		mix     Mix
		B, C, S int
	}{
		{"mixup", Mix{Prob: 1, Mixup: 0.8}, 4, 3, 5},
		{"mixup of an odd batch", Mix{Prob: 1, Mixup: 0.2}, 3, 1, 4},
		{"mixup of one image with itself", Mix{Prob: 1, Mixup: 0.2}, 1, 1, 4},
		{"mixup with a tiny α", Mix{Prob: 1, Mixup: 1e-12}, 2, 1, 4},
		{"CutMix", Mix{Prob: 1, CutMix: 1}, 4, 3, 5},
		{"CutMix of an odd batch", Mix{Prob: 1, CutMix: 1}, 5, 1, 7},
		{"either", Mix{Prob: 1, Mixup: 1, CutMix: 1}, 4, 3, 8},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for seed := range uint64(50) {
				b := distinct(tt.B, tt.C, tt.S)
				mixed, err := tt.mix.Apply(b, random(seed))
				if err != nil || !mixed {
					t.Fatalf("mixed %t, error %v", mixed, err)
				}
				images, labels := b["image"].Data().([]float32), b["label"].Data().([]float32)
				n := tt.C * tt.S * tt.S
				for i := range tt.B {
					mean, want, sum := 0.0, 0.0, 0.0
					for _, x := range images[i*n : (i+1)*n] {
						mean += float64(x) / float64(n)
					}
					for k, y := range labels[i*tt.B : (i+1)*tt.B] {
						want += float64(y) * float64(k)
						sum += float64(y)
						if y != 0 && k != i && k != (i+1)%tt.B {
							t.Errorf("image %d has a share of %d", i, k)
						}
					}
					if math.Abs(mean-want) > 1e-5 || math.Abs(sum-1) > 1e-6 {
						t.Errorf("seed %d: image %d has mean %g, but labels say %g and add up to %g", seed, i, mean, want, sum)
					}
				}
			}
		})
	}
}

func TestMixKinds(t *testing.T) {
	pure := func(b Batch) bool { // every pixel comes from one image
		for _, x := range b["image"].Data().([]float32) {
			if x != float32(math.Trunc(float64(x))) {
				return false
			}
		}
		return true
	}
	const n = 2000
	mixed, cut := 0, 0
	for seed := range uint64(n) {
		b := distinct(2, 1, 4)
		did, err := Mix{Prob: 0.25, Mixup: 1, CutMix: 1}.Apply(b, random(seed))
		if err != nil {
			t.Fatal(err)
		}
		if !did {
			if !slices.Equal(b["image"].Data().([]float32), distinct(2, 1, 4)["image"].Data().([]float32)) {
				t.Fatal("a batch said to be as it was has changed")
			}
			continue
		}
		mixed++
		if pure(b) {
			cut++
		}
	}
	if share := float64(mixed) / n; math.Abs(share-0.25) > 0.04 {
		t.Errorf("%g of the batches are mixed, want 0.25", share)
	}
	if share := float64(cut) / float64(mixed); math.Abs(share-0.5) > 0.08 {
		t.Errorf("%g of the mixed batches are cut, want 0.5", share)
	}
}

// λ has the mean and the variance of Beta(α, α): 1/2 and 1/(4(2α+1)).
func TestBetaMoments(t *testing.T) {
	for _, alpha := range []float64{0.2, 1, 3} {
		r := random(5)
		const n = 20000
		mean, square := 0.0, 0.0
		for range n {
			x := beta(alpha, r)
			mean += x / n
			square += x * x / n
		}
		want := 1 / (4 * (2*alpha + 1))
		if math.Abs(mean-0.5) > 0.01 || math.Abs(square-mean*mean-want) > 0.01 {
			t.Errorf("α = %g: mean %g and variance %g, want 0.5 and %g", alpha, mean, square-mean*mean, want)
		}
	}
}

func TestCut(t *testing.T) {
	r := random(1)
	for range 1000 {
		lambda := r.Float64()
		box, left := cut(9, 6, lambda, r)
		if box.X0 < 0 || box.Y0 < 0 || box.X1 > 6 || box.Y1 > 9 || box.X0 > box.X1 || box.Y0 > box.Y1 {
			t.Fatalf("box %v leaves 6×9 pixels", box)
		}
		if left < lambda-1e-9 || left > 1 {
			t.Fatalf("λ = %g becomes %g", lambda, left)
		}
	}
}

func TestMixRejects(t *testing.T) {
	good := distinct(2, 1, 4)
	for _, tt := range []struct {
		name string
		mix  Mix
		b    Batch
		want string
	}{
		{"no image", Mix{Prob: 1, Mixup: 1}, Batch{"label": good["label"]}, `no "image"`},
		{"no label", Mix{Prob: 1, Mixup: 1}, Batch{"image": good["image"]}, `no "label"`},
		{"image without sides", Mix{Prob: 1, Mixup: 1}, Batch{"image": good["label"], "label": good["label"]}, "want float32 with 4 axes"},
		{"double precision", Mix{Prob: 1, Mixup: 1}, Batch{"image": tensor.New(tensor.WithShape(2, 1, 4, 4), tensor.Of(tensor.Float64)), "label": good["label"]}, "want float32"},
		{"differing batch sizes", Mix{Prob: 1, Mixup: 1}, Batch{"image": good["image"], "label": distinct(3, 1, 4)["label"]}, "batch sizes differ"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := tt.mix.Apply(tt.b, random(1)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	for _, m := range []Mix{
		{Prob: -0.1, Mixup: 1}, {Prob: math.NaN(), Mixup: 1}, {Prob: 1}, {Prob: 1, Mixup: -1},
		{Prob: 1, CutMix: math.NaN()}, {Prob: 1, CutMix: math.Inf(1)},
	} {
		if m.Validate() == nil {
			t.Errorf("%+v is accepted", m)
		}
	}
	if err := (Mix{}).Validate(); err != nil {
		t.Errorf("no mixing is refused: %v", err)
	}
}
