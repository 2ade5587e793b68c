package kernel

import (
	"math/bits"
	"sync"
)

// scratch keeps memory between calls, by size: entry i holds slices of 2ⁱ
// numbers.
var scratch [64]sync.Pool

// scratch32 returns n numbers of any value. Give them back with free32.
func scratch32(n int) *[]float32 {
	class := bits.Len(uint(max(n, 1) - 1))
	p, _ := scratch[class].Get().(*[]float32)
	if p == nil {
		x := make([]float32, 1<<class)
		p = &x
	}
	*p = (*p)[:n]
	return p
}

// free32 takes scratch back; nil is ignored.
func free32(p *[]float32) {
	if p != nil {
		scratch[bits.Len(uint(cap(*p)-1))].Put(p)
	}
}
