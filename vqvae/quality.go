package vqvae

import "math"

// PSNR is the peak signal-to-noise ratio in decibels of a mean squared error.
func (c Config) PSNR(mse float64) float64 {
	span := c.span()
	return 10 * math.Log10(span*span/mse)
}

// span is the distance from black to white.
func (c Config) span() float64 { return c.PixelRange[1] - c.PixelRange[0] }

// SSIM is the structural similarity of two images (C, S, S): the mean over
// channels and all windows that lie inside, weighed by a Gaussian of 1.5 pixels
// over 11 (doi:10.1109/TIP.2003.819861), or over the largest odd number that
// fits.
func (c Config) SSIM(x, y []float32) float64 {
	side := c.ImageSize
	window := gaussian(min(11, side-(side+1)%2))
	out := side - len(window) + 1
	c1, c2 := math.Pow(0.01*c.span(), 2), math.Pow(0.03*c.span(), 2)
	n := side * side
	product := make([]float64, n)
	rows := make([]float64, side*out)
	mean := func(f func(i int) float64) []float64 {
		for i := range product {
			product[i] = f(i)
		}
		for r := range side { // along rows, then along columns
			for j := range out {
				var sum float64
				for k, w := range window {
					sum += w * product[r*side+j+k]
				}
				rows[r*out+j] = sum
			}
		}
		means := make([]float64, out*out)
		for i := range out {
			for k, w := range window {
				for j := range out {
					means[i*out+j] += w * rows[(i+k)*out+j]
				}
			}
		}
		return means
	}
	var sum float64
	for ch := range c.Channels {
		a, b := x[ch*n:(ch+1)*n], y[ch*n:(ch+1)*n]
		ma := mean(func(i int) float64 { return float64(a[i]) })
		mb := mean(func(i int) float64 { return float64(b[i]) })
		aa := mean(func(i int) float64 { return float64(a[i]) * float64(a[i]) })
		bb := mean(func(i int) float64 { return float64(b[i]) * float64(b[i]) })
		ab := mean(func(i int) float64 { return float64(a[i]) * float64(b[i]) })
		for i := range ma {
			va, vb, cov := aa[i]-ma[i]*ma[i], bb[i]-mb[i]*mb[i], ab[i]-ma[i]*mb[i]
			sum += (2*ma[i]*mb[i] + c1) * (2*cov + c2) / ((ma[i]*ma[i] + mb[i]*mb[i] + c1) * (va + vb + c2))
		}
	}
	return sum / float64(c.Channels*out*out)
}

// gaussian is a window of n values that add up to 1.
func gaussian(n int) []float64 {
	w := make([]float64, n)
	var sum float64
	for i := range w {
		d := float64(i-n/2) / 1.5
		w[i] = math.Exp(-d * d / 2)
		sum += w[i]
	}
	for i := range w {
		w[i] /= sum
	}
	return w
}
