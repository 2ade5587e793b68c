package simd

// Products are computed tile by tile of C: a tile has up to TileRows rows and a
// panel's width of columns, and goes through k elements of depth at once. Every
// element of C is the sum of its k products one after the other, each rounded
// once, times α; then C is added if acc. So it depends neither on the tile it
// lies in nor on the rows and columns beside it.
//
// The functions below do not divide work among goroutines and panic on slices
// that are too short. Matrices are row-major with rows ld numbers apart.

// TileRows is how many rows a tile has.
func TileRows() int {
	if Active() == AVX512 {
		return 14
	}
	return 6
}

// PanelWidth is how many columns of B lie side by side in a panel.
func PanelWidth() int {
	if Active() == AVX512 {
		return 32
	}
	return 16
}

// slack is how many numbers packing may write behind a block of A.
const slack = 16

// holds panics unless x holds rows × cols numbers with rows ld apart.
func holds(x []float32, rows, cols, ld int) {
	if rows > 0 && cols > 0 {
		_ = x[(rows-1)*ld+cols-1]
	}
}
