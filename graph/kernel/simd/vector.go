package simd

// The vector functions must not be called while [Active] is None. They panic on
// slices that are too short and do nothing with empty ones. A result may be an
// argument of the same length, but not overlap one otherwise.

// Activation names an elementwise function, in the order of package kernel.
type Activation int

const (
	Identity Activation = iota
	GELU
	GELUTanh
	QuickGELU
	SiLU
	Tanh
	ReLU
	Sigmoid
)

// AdamW holds the coefficients of a step of AdamW that all elements share.
type AdamW struct {
	Scale float32 // of gradients
	Keep  float32 // 1 − ηλ
	Mix1  float32 // 1 − β₁
	Beta2 float32
	Mix2  float32 // 1 − β₂
	Rate  float32 // η / (1 − β₁ᵗ)
	Root2 float32 // 1 / √(1 − β₂ᵗ)
	Eps   float32
}

// Exp sets dst = eˣ, within 1 ulp.
func Exp(dst, x []float32) { ExpScaled(dst, x, 0, 1) }

// Activate sets y = a(x).
func Activate(y, x []float32, a Activation) { BiasActivate(y, nil, x, nil, a) }
