package data

import (
	"bytes"
	"encoding/binary"
)

// These readers find one number: how a camera was held. Anything damaged or
// out of range counts as upright, for a photograph is worth more than its
// metadata.

// orientation returns the EXIF tag of that name, from 1 (upright) to 8, out of
// the first directory of a TIFF structure.
func orientation(b []byte) int {
	const upright = 1
	if len(b) < 8 {
		return upright
	}
	var order binary.ByteOrder = binary.LittleEndian
	if b[0] == 'M' {
		order = binary.BigEndian
	}
	if order.Uint16(b[2:]) != 42 {
		return upright
	}
	at := uint64(order.Uint32(b[4:]))
	if at+2 > uint64(len(b)) {
		return upright
	}
	entries := b[at+2:]
	for range order.Uint16(b[at:]) {
		if len(entries) < 12 {
			return upright
		}
		const tag, short = 0x0112, 3
		if order.Uint16(entries) == tag {
			o := int(order.Uint16(entries[8:]))
			if order.Uint16(entries[2:]) != short || o < 1 || o > 8 {
				return upright
			}
			return o
		}
		entries = entries[12:]
	}
	return upright
}

// jpegEXIF returns the EXIF block of a JPEG file's APP1 segment.
func jpegEXIF(b []byte) []byte {
	const app1, startOfScan = 0xe1, 0xda
	b = b[2:]
	for len(b) >= 4 && b[0] == 0xff {
		if b[1] == 0xff { // padding
			b = b[1:]
			continue
		}
		n := 2 + int(binary.BigEndian.Uint16(b[2:]))
		if b[1] == startOfScan || n > len(b) {
			return nil
		}
		if exif, ok := bytes.CutPrefix(b[4:max(n, 4)], []byte("Exif\x00\x00")); ok && b[1] == app1 {
			return exif
		}
		b = b[n:]
	}
	return nil
}

// pngEXIF returns the content of a PNG file's eXIf chunk.
func pngEXIF(b []byte) []byte {
	b = b[8:]
	for len(b) >= 12 { // length, type, CRC
		n := uint64(binary.BigEndian.Uint32(b))
		if n+12 > uint64(len(b)) {
			return nil
		}
		if string(b[4:8]) == "eXIf" {
			return b[8 : 8+n]
		}
		b = b[12+n:]
	}
	return nil
}

// webpEXIF returns the content of a WebP file's EXIF chunk.
func webpEXIF(b []byte) []byte {
	b = b[12:]
	for len(b) >= 8 { // type, length
		n := uint64(binary.LittleEndian.Uint32(b[4:]))
		if n+8 > uint64(len(b)) {
			return nil
		}
		if string(b[:4]) == "EXIF" {
			return bytes.TrimPrefix(b[8:8+n], []byte("Exif\x00\x00"))
		}
		b = b[min(8+n+n%2, uint64(len(b))):] // chunks start at even offsets
	}
	return nil
}

// mirrored is the EXIF orientation that swaps left and right.
const mirrored = 2

// upright undoes an EXIF orientation; 1 returns im itself.
func upright(im *Image, o int) *Image {
	W, H, C := im.W, im.H, im.C
	var from func(x, y int) (int, int) // of the result's pixel (x, y)
	switch o {
	case mirrored:
		from = func(x, y int) (int, int) { return W - 1 - x, y }
	case 3: // upside down
		from = func(x, y int) (int, int) { return W - 1 - x, H - 1 - y }
	case 4: // upside down and mirrored
		from = func(x, y int) (int, int) { return x, H - 1 - y }
	case 5: // transposed
		from = func(x, y int) (int, int) { return y, x }
	case 6: // to be turned clockwise
		from = func(x, y int) (int, int) { return y, H - 1 - x }
	case 7: // transposed along the other diagonal
		from = func(x, y int) (int, int) { return W - 1 - y, H - 1 - x }
	case 8: // to be turned counterclockwise
		from = func(x, y int) (int, int) { return W - 1 - y, x }
	default:
		return im
	}
	out := NewImage(W, H, C)
	if o >= 5 {
		out.W, out.H = H, W
	}
	i := 0
	for y := range out.H {
		for x := range out.W {
			sx, sy := from(x, y)
			i += copy(out.Pix[i:], im.Pix[(sy*W+sx)*C:][:C])
		}
	}
	return out
}
