package safetensors

import (
	"encoding/binary"
	"math"
	"reflect"
	"strings"
	"testing"
)

// Every half-precision number is compared with its definition.
func TestFloat16(t *testing.T) {
	for i := range 1 << 16 {
		half := uint16(i)
		sign := 1 - 2*float64(half>>15)
		exponent, fraction := int(half>>10&0x1f), float64(half&0x3ff)
		got := float64(float16(half))
		var want float64
		switch {
		case exponent == 31 && fraction != 0:
			if !math.IsNaN(got) {
				t.Fatalf("float16(%#04x) = %g, want NaN", half, got)
			}
			continue
		case exponent == 31:
			want = math.Inf(int(sign))
		case exponent == 0:
			want = sign * math.Ldexp(fraction, -24)
		default:
			want = sign * math.Ldexp(1024+fraction, exponent-25)
		}
		if got != want || math.Signbit(got) != (sign < 0) {
			t.Fatalf("float16(%#04x) = %g, want %g", half, got, want)
		}
	}
}

func le16(v ...uint16) []byte { return le(v) }
func le32(v ...uint32) []byte { return le(v) }
func le64(v ...uint64) []byte { return le(v) }

func le(v any) []byte {
	b, err := binary.Append(nil, binary.LittleEndian, v)
	if err != nil {
		panic(err)
	}
	return b
}

func TestDecode(t *testing.T) {
	inf := math.Inf(1)
	for _, tt := range []struct {
		dtype  Dtype
		raw    []byte
		floats []float64 // exact in float32 too
		ints   []int64   // nil: no conversion to integers
	}{
		{BOOL, []byte{0, 1}, []float64{0, 1}, []int64{0, 1}},
		{U8, []byte{0, 255}, []float64{0, 255}, []int64{0, 255}},
		{I8, []byte{127, 128}, []float64{127, -128}, []int64{127, -128}},
		{U16, le16(0, 65535), []float64{0, 65535}, []int64{0, 65535}},
		{I16, le16(1, 0x8000), []float64{1, -32768}, []int64{1, -32768}},
		{U32, le32(1<<31, 3), []float64{1 << 31, 3}, []int64{1 << 31, 3}},
		{I32, le32(1<<31, 3), []float64{-1 << 31, 3}, []int64{-1 << 31, 3}},
		{U64, le64(0, 1<<62), []float64{0, 1 << 62}, []int64{0, 1 << 62}},
		{I64, le64(1<<63, 1<<24), []float64{-1 << 63, 1 << 24}, []int64{math.MinInt64, 1 << 24}},
		{F16, le16(0x3c00, 0x0001, 0xfc00), []float64{1, 0x1p-24, -inf}, nil},
		{BF16, le16(0x3f80, 0x0001, 0x7f80), []float64{1, 0x1p-133, inf}, nil},
		{F32, le32(0x3f800000, 1, 0xff800000), []float64{1, 0x1p-149, -inf}, nil},
		{F64, le64(math.Float64bits(-2.5), math.Float64bits(inf)), []float64{-2.5, inf}, nil},
	} {
		t.Run(string(tt.dtype), func(t *testing.T) {
			f64 := make([]float64, len(tt.floats))
			if err := DecodeFloat(f64, tt.dtype, tt.raw); err != nil || !reflect.DeepEqual(f64, tt.floats) {
				t.Errorf("float64: %v, %v, want %v", f64, err, tt.floats)
			}
			f32 := make([]float32, len(tt.floats))
			err := DecodeFloat(f32, tt.dtype, tt.raw)
			for i, v := range tt.floats {
				if err != nil || float64(f32[i]) != v {
					t.Errorf("float32: %v, %v, want %v", f32, err, tt.floats)
				}
			}
			ints := make([]int64, len(tt.floats))
			err = decodeInt(ints, tt.dtype, tt.raw)
			if tt.ints == nil {
				if err == nil {
					t.Errorf("int64: %v, want an error", ints)
				}
			} else if err != nil || !reflect.DeepEqual(ints, tt.ints) {
				t.Errorf("int64: %v, %v, want %v", ints, err, tt.ints)
			}
		})
	}
}

func TestDecodeNaN(t *testing.T) {
	for d, raw := range map[Dtype][]byte{
		F16:  le16(0x7e01),
		BF16: le16(0xffc1),
		F32:  le32(0x7fc00001),
		F64:  le64(math.Float64bits(math.NaN())),
	} {
		v := []float32{0}
		if err := DecodeFloat(v, d, raw); err != nil || v[0] == v[0] {
			t.Errorf("%s: %v, %v, want NaN", d, v, err)
		}
	}
}

func TestDecodeRoundsToNearest(t *testing.T) {
	v := []float32{0}
	if err := DecodeFloat(v, F64, le64(math.Float64bits(1+0x1p-24+0x1p-50))); err != nil || v[0] != 1+0x1p-23 {
		t.Errorf("got %v, %v, want 1+2⁻²³", v, err)
	}
}

func TestDecodeErrors(t *testing.T) {
	float := func(d Dtype, raw []byte) error { return DecodeFloat(make([]float32, 1), d, raw) }
	double := func(d Dtype, raw []byte) error { return DecodeFloat(make([]float64, 1), d, raw) }
	integer := func(d Dtype, raw []byte) error { return decodeInt(make([]int64, 1), d, raw) }
	for _, tt := range []struct {
		name   string
		decode func(Dtype, []byte) error
		dtype  Dtype
		raw    []byte
		want   string
	}{
		{"integer needs 25 bits", float, I32, le32(1<<24 + 1), "16777217 is not exact in float32"},
		{"negative needs 25 bits", float, I64, le64(-(1<<24 + 1) & math.MaxUint64), "-16777217 is not exact"},
		{"largest integer", double, I64, le64(math.MaxInt64), "not exact in float64"},
		{"integer needs 54 bits", double, U64, le64(1<<53 + 1), "not exact in float64"},
		{"unsigned beyond int64", integer, U64, le64(1 << 63), "beyond the range of int64"},
		{"unsigned beyond int64 as float", float, U64, le64(1 << 63), "beyond the range of int64"},
		{"double beyond float32", float, F64, le64(math.Float64bits(1e300)), "1e+300 is beyond the range of float32"},
		{"boolean of 2", float, BOOL, []byte{2}, "no boolean"},
		{"float as integer", integer, F32, le32(0), "no conversion from dtype F32"},
		{"complex", float, C64, le64(0), "no conversion from dtype C64"},
		{"packed", float, F4, []byte{0}, "no conversion from dtype F4"},
		{"unknown", float, "F31", []byte{0}, "no conversion"},
		{"too few bytes", float, F32, []byte{0, 0, 0}, "3 bytes for 1 elements"},
		{"too many bytes", integer, U8, []byte{0, 0}, "2 bytes for 1 elements"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.decode(tt.dtype, tt.raw); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}
