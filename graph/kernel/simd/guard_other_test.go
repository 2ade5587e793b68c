//go:build !linux

package simd

import "testing"

// guarded returns two slices of n elements. There are no guards.
func guarded[T any](t testing.TB, n int) (front, back []T) {
	return make([]T, n), make([]T, n)
}
