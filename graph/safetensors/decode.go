package safetensors

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/pkg/errors"
)

// DecodeFloat converts little-endian elements of type d into dst, which has
// one place for each. Floating-point values are rounded to the nearest T;
// integers and booleans must be exact in it. It is an error if src has another
// size, if a finite value or an integer does not fit, or if d has no conversion.
func DecodeFloat[T float32 | float64](dst []T, d Dtype, src []byte) error {
	if !d.float() {
		return errors.Errorf("no conversion from dtype %s to floating point", d)
	}
	if err := checkSize(len(dst), d, src); err != nil {
		return err
	}
	le := binary.LittleEndian
	switch d {
	case F16:
		for i := range dst {
			dst[i] = T(float16(le.Uint16(src[2*i:])))
		}
	case BF16:
		for i := range dst {
			dst[i] = T(math.Float32frombits(uint32(le.Uint16(src[2*i:])) << 16))
		}
	case F32:
		for i := range dst {
			dst[i] = T(math.Float32frombits(le.Uint32(src[4*i:])))
		}
	case F64:
		for i := range dst {
			v := math.Float64frombits(le.Uint64(src[8*i:]))
			dst[i] = T(v)
			if math.IsInf(float64(dst[i]), 0) && !math.IsInf(v, 0) {
				return errors.Errorf("value %g is beyond the range of %T", v, dst[i])
			}
		}
	default:
		for i := range dst {
			v, err := integer(d, src, i)
			if err != nil {
				return err
			}
			dst[i] = T(v)
			if !exact[T](v) {
				return errors.Errorf("value %d is not exact in %T", v, dst[i])
			}
		}
	}
	return nil
}

// decodeInt converts little-endian integers or booleans of type d into dst,
// which has one place for each. It is an error if src has another size, if a
// value does not fit, or if d is no integer type.
func decodeInt(dst []int64, d Dtype, src []byte) error {
	if !d.integer() {
		return errors.Errorf("no conversion from dtype %s to integers", d)
	}
	if err := checkSize(len(dst), d, src); err != nil {
		return err
	}
	for i := range dst {
		v, err := integer(d, src, i)
		if err != nil {
			return err
		}
		dst[i] = v
	}
	return nil
}

func checkSize(n int, d Dtype, src []byte) error {
	if size := d.Bits() / 8; len(src)/size != n || len(src)%size != 0 {
		return errors.Errorf("%d bytes for %d elements of dtype %s", len(src), n, d)
	}
	return nil
}

// integer is element i of src.
func integer(d Dtype, src []byte, i int) (int64, error) {
	le := binary.LittleEndian
	switch d {
	case BOOL:
		if src[i] > 1 {
			return 0, errors.Errorf("value %d is no boolean, want 0 or 1", src[i])
		}
		return int64(src[i]), nil
	case U8:
		return int64(src[i]), nil
	case I8:
		return int64(int8(src[i])), nil
	case U16:
		return int64(le.Uint16(src[2*i:])), nil
	case I16:
		return int64(int16(le.Uint16(src[2*i:]))), nil
	case U32:
		return int64(le.Uint32(src[4*i:])), nil
	case I32:
		return int64(int32(le.Uint32(src[4*i:]))), nil
	case U64:
		v := le.Uint64(src[8*i:])
		if v > math.MaxInt64 {
			return 0, errors.Errorf("value %d is beyond the range of int64", v)
		}
		return int64(v), nil
	default: // I64
		return int64(le.Uint64(src[8*i:])), nil
	}
}

// exact reports whether T represents v. It counts v's significant bits, because
// converting back is undefined for values that round up to 2⁶³.
func exact[T float32 | float64](v int64) bool {
	precision := 53
	if _, single := any(T(0)).(float32); single {
		precision = 24
	}
	u := uint64(v)
	if v < 0 {
		u = -u
	}
	return bits.Len64(u)-bits.TrailingZeros64(u) <= precision // 0 - 64 for zero
}

// float16 is the IEEE 754 half-precision number with the given bits: 1 of sign,
// 5 of exponent, 10 of fraction.
func float16(half uint16) float32 {
	sign := uint32(half>>15) << 31
	exponent := uint32(half>>10) & 0x1f
	fraction := uint32(half) & 0x3ff
	switch exponent {
	case 0: // zero or subnormal: fraction × 2⁻²⁴, exact in float32
		v := math.Float32bits(float32(fraction) * 0x1p-24)
		return math.Float32frombits(sign | v)
	case 0x1f: // infinity or NaN, whose payload moves along
		return math.Float32frombits(sign | 0xff<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
}
