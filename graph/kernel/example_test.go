package kernel_test

import (
	"fmt"

	"tessera/graph/kernel"
)

// Rows of images (2, 3) are multiplied by a matrix (3, 2) as it is stored.
func ExampleMatMul() {
	a := []float32{1, 2, 3, 4, 5, 6}
	b := []float32{1, 0, 0, 1, 1, 1}
	c := make([]float32, 4)
	kernel.MatMul(false, false, 2, 2, 3, 1, a, 3, b, 2, 0, c, 2)
	fmt.Println(c)
	// Output:
	// [4 5 10 11]
}
