// Package simd holds the float32 loops of package kernel in AVX-512 and in
// AVX2 with FMA. The assembly is generated (see generate.go); the plain twin of
// every function is the generic code of package kernel, which serves all other
// machines, the tag noasm, and tests.
package simd

import "sync/atomic"

// Level is a set of instructions.
type Level int32

const (
	None   Level = iota // plain Go
	AVX2                // AVX2 and FMA
	AVX512              // AVX-512 F, BW, DQ and VL
)

func (l Level) String() string {
	switch l {
	case AVX2:
		return "avx2"
	case AVX512:
		return "avx512"
	}
	return "none"
}

// Best is the highest level this machine has. The environment variable
// GODEBUG=cpu.avx512f=off or cpu.avx2=off turns levels off.
func Best() Level { return best }

var (
	best   = detect()
	active atomic.Int32
)

func init() { active.Store(int32(best)) }

// Active is the level in use.
func Active() Level { return Level(active.Load()) }

// Use chooses another level, at most [Best], and returns the one before. It
// serves tests; results of different levels differ by rounding.
func Use(l Level) (before Level) {
	return Level(active.Swap(int32(min(l, best))))
}
