package kernel

import (
	"unsafe"

	"tessera/graph/kernel/simd"
)

// singles is x if T is float32, seen as such; nil stays nil.
func singles[T Float](x []T) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(x))), len(x))
}

// fast reports whether there are fast kernels for T.
func fast[T Float]() bool { return single[T]() && simd.Active() != simd.None }
