package simd

import (
	"syscall"
	"testing"
	"unsafe"
)

// guarded returns two slices of n elements: memory that must not be touched
// lies right before front and right behind back.
func guarded[T any](t testing.TB, n int) (front, back []T) {
	t.Helper()
	var zero T
	page, size := syscall.Getpagesize(), n*int(unsafe.Sizeof(zero))
	inner := (size + page - 1) / page * page
	mem, err := syscall.Mmap(-1, 0, 2*inner+3*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Munmap(mem); err != nil {
			t.Error(err)
		}
	})
	for _, guard := range [][]byte{mem[:page], mem[page+inner : 2*page+inner], mem[2*page+2*inner:]} {
		if err := syscall.Mprotect(guard, syscall.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	if n == 0 {
		return []T{}, []T{}
	}
	at := func(i int) []T { return unsafe.Slice((*T)(unsafe.Pointer(&mem[i])), n) }
	return at(page), at(2*page + 2*inner - size)
}
