package safetensors

import "slices"

// Dtype is the element type of a stored tensor, spelt as in the file.
type Dtype string

// The element types of the format. Those above C64 convert to Go slices; the
// others can be listed and read as raw bytes only.
const (
	BOOL Dtype = "BOOL"
	U8   Dtype = "U8"
	I8   Dtype = "I8"
	I16  Dtype = "I16"
	U16  Dtype = "U16"
	F16  Dtype = "F16"
	BF16 Dtype = "BF16"
	I32  Dtype = "I32"
	U32  Dtype = "U32"
	F32  Dtype = "F32"
	F64  Dtype = "F64"
	I64  Dtype = "I64"
	U64  Dtype = "U64"

	C64         Dtype = "C64"
	F8_E5M2     Dtype = "F8_E5M2"
	F8_E4M3     Dtype = "F8_E4M3"
	F8_E8M0     Dtype = "F8_E8M0"
	F8_E4M3FNUZ Dtype = "F8_E4M3FNUZ"
	F8_E5M2FNUZ Dtype = "F8_E5M2FNUZ"
	F6_E2M3     Dtype = "F6_E2M3"
	F6_E3M2     Dtype = "F6_E3M2"
	F4          Dtype = "F4"
)

// Bits is the size of one element, or 0 if d is not a type of the format.
func (d Dtype) Bits() int {
	switch d {
	case F4:
		return 4
	case F6_E2M3, F6_E3M2:
		return 6
	case BOOL, U8, I8, F8_E5M2, F8_E4M3, F8_E8M0, F8_E4M3FNUZ, F8_E5M2FNUZ:
		return 8
	case I16, U16, F16, BF16:
		return 16
	case I32, U32, F32:
		return 32
	case C64, F64, I64, U64:
		return 64
	}
	return 0
}

// float reports whether d converts to floating point.
func (d Dtype) float() bool {
	return d == F16 || d == BF16 || d == F32 || d == F64 || d.integer()
}

// integer reports whether d converts to int64.
func (d Dtype) integer() bool {
	return slices.Contains([]Dtype{BOOL, U8, I8, U16, I16, U32, I32, U64, I64}, d)
}
