package vqvae

import (
	"fmt"
	"testing"

	"tessera/graph"
	"tessera/train/optim"
)

// BenchmarkTrainStep is a step of training: forward, backward, the norm of the
// gradient clipped to 1, and AdamW with learning rate 1e-3 and weight decay 0.05.
//
// Layers of small64, each convolution with a bias, BatchNorm2d with momentum 0.1
// and eps 1e-5, LeakyReLU with slope 0.01, on images (B, 3, 64, 64):
//
//	Conv2d(3, 64, 4, stride 2, padding 1), BatchNorm2d(64), LeakyReLU
//	Conv2d(64, 128, 4, stride 2, padding 1), BatchNorm2d(128), LeakyReLU
//	Conv2d(128, 64, 1)
//	16×16 vectors of 64 channels, the nearest of 512 codes each; the codebook
//	follows by moving averages of counts and sums (decay 0.99, Laplace
//	smoothing with eps 1e-5), straight-through gradient, commitment loss
//	0.25·MSE(z, stop_gradient(code))
//	Conv2d(64, 128, 1)
//	ConvTranspose2d(128, 64, 4, stride 2, padding 1), BatchNorm2d(64), LeakyReLU
//	ConvTranspose2d(64, 3, 4, stride 2, padding 1)
//	MSE of the pixels
func BenchmarkTrainStep(b *testing.B) {
	for _, bb := range []struct {
		preset string
		batch  int
	}{{"small28", 128}, {"small64", 32}} {
		b.Run(fmt.Sprintf("model=%s/batch=%d", bb.preset, bb.batch), func(b *testing.B) {
			c, err := Preset(bb.preset)
			if err != nil {
				b.Fatal(err)
			}
			m, err := New(c, graph.Seed(1))
			if err != nil {
				b.Fatal(err)
			}
			prog, err := graph.Compile(func(g *graph.Builder) { g.Minimize(m.Loss(g, bb.batch)) }, &graph.Options{Training: true})
			if err != nil {
				b.Fatal(err)
			}
			in := graph.Values{"image": images(1, bb.batch, c.Channels, c.ImageSize, c.ImageSize)}
			adam := &optim.AdamW{WeightDecay: 0.05}
			b.ReportAllocs()
			for b.Loop() {
				if err := prog.Run(in); err != nil {
					b.Fatal(err)
				}
				scale := 1.0
				if norm := optim.Norm(prog.Grads()); norm > 1 {
					scale = 1 / norm
				}
				if err := adam.Step(1e-3, scale, prog.Grads()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(bb.batch*b.N)/b.Elapsed().Seconds(), "images/s")
		})
	}
}
