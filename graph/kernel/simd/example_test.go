package simd_test

import (
	"fmt"

	"tessera/graph/kernel/simd"
)

// Vectors of bytes are compared by instructions made for it, where there are
// any.
func ExampleDotInt8Rows() {
	rows := []int8{1, 2, 3, -1, -2, -3} // (2, 3)
	products := make([]int32, 2)
	simd.DotInt8Rows(products, rows, []int8{10, 20, 30})
	fmt.Println(products, simd.Max([]float32{2, 7, 1}))
	// Output:
	// [140 -140] 7
}
