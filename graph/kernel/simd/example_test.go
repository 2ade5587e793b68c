package simd_test

import (
	"fmt"

	"tessera/graph/kernel/simd"
)

// Results of a level differ from those of another by rounding: a test of plain Go
// asks for it.
func ExampleUse() {
	before := simd.Use(simd.None)
	fmt.Println(simd.Active())
	simd.Use(before)
	fmt.Println(simd.Active() == before)
	// Output:
	// none
	// true
}
