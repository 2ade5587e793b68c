package data

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image/jpeg"
	"strings"
	"testing"
)

// exifBlock is a TIFF structure with two entries, the second the orientation.
func exifBlock(order binary.AppendByteOrder, o uint16) []byte {
	magic := "II"
	if order == binary.AppendByteOrder(binary.BigEndian) {
		magic = "MM"
	}
	b := order.AppendUint16([]byte(magic), 42)
	b = order.AppendUint32(b, 8)
	b = order.AppendUint16(b, 2)
	for _, e := range [][2]uint16{{0x0100, 640}, {0x0112, o}} {
		b = order.AppendUint16(b, e[0])
		b = order.AppendUint16(b, 3) // short
		b = order.AppendUint32(b, 1)
		b = order.AppendUint16(b, e[1])
		b = order.AppendUint16(b, 0)
	}
	return order.AppendUint32(b, 0)
}

func withJPEGSegment(file []byte, o uint16) []byte {
	content := append([]byte("Exif\x00\x00"), exifBlock(binary.BigEndian, o)...)
	segment := binary.BigEndian.AppendUint16([]byte{0xff, 0xe1}, uint16(2+len(content)))
	out := append([]byte{0xff, 0xd8}, segment...)
	return append(append(out, content...), file[2:]...)
}

func withPNGChunk(file []byte, o uint16) []byte {
	content := exifBlock(binary.LittleEndian, o)
	chunk := binary.BigEndian.AppendUint32(nil, uint32(len(content)))
	chunk = append(append(chunk, "eXIf"...), content...)
	chunk = binary.BigEndian.AppendUint32(chunk, crc32.ChecksumIEEE(chunk[4:]))
	const header = 8 + 25 // signature and IHDR
	out := append(bytes.Clone(file[:header]), chunk...)
	return append(out, file[header:]...)
}

func TestOrientations(t *testing.T) {
	stored := &Image{W: 3, H: 2, C: 1, Pix: []uint8("abcdef")}
	file := encodePNG(t, stored.Std())
	for o, want := range []string{
		1: "abc def",
		2: "cba fed",
		3: "fed cba",
		4: "def abc",
		5: "ad be cf",
		6: "da eb fc",
		7: "fc eb da",
		8: "cf be ad",
		9: "abc def", // not an orientation
	} {
		if o == 0 {
			continue
		}
		im, err := Decode(bytes.NewReader(withPNGChunk(file, uint16(o))), 0)
		if err != nil {
			t.Fatal(err)
		}
		var rows []string
		for y := range im.H {
			rows = append(rows, string(im.Pix[y*im.W:][:im.W]))
		}
		if got := strings.Join(rows, " "); got != want {
			t.Errorf("orientation %d: %q, want %q", o, got, want)
		}
	}
}

func TestOrientationInFiles(t *testing.T) {
	im := NewImage(16, 8, 3)
	for i := range im.Pix { // white on the left, black on the right
		if i/3%16 < 8 {
			im.Pix[i] = 255
		}
	}
	plain := encode(t, func(b *bytes.Buffer) error { return jpeg.Encode(b, im.Std(), nil) })
	for _, tt := range []struct {
		name string
		file []byte
		w, h int
	}{
		{"JPEG without", plain, 16, 8},
		{"JPEG", withJPEGSegment(plain, 6), 8, 16},
		{"PNG", withPNGChunk(encodePNG(t, im.Std()), 6), 8, 16},
		{"WebP", flatWebP(16, 8, 1, 2, 3, riffChunk("EXIF", exifBlock(binary.BigEndian, 6))...), 8, 16},
		{"WebP with prefix", flatWebP(16, 8, 1, 2, 3, riffChunk("EXIF", append([]byte("Exif\x00\x00"), exifBlock(binary.LittleEndian, 6)...))...), 8, 16},
	} {
		got, err := Decode(bytes.NewReader(tt.file), 0)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if got.W != tt.w || got.H != tt.h {
			t.Errorf("%s: %d×%d pixels, want %d×%d", tt.name, got.W, got.H, tt.w, tt.h)
		}
	}
	turned, err := Decode(bytes.NewReader(withJPEGSegment(plain, 6)), 0)
	if err != nil {
		t.Fatal(err)
	}
	if top, bottom := turned.Pix[0], turned.Pix[len(turned.Pix)-1]; top < 200 || bottom > 50 {
		t.Errorf("after a clockwise turn the top is %d and the bottom %d, want white and black", top, bottom)
	}
}

// Whatever is cut off, the remains are read or count as upright.
func TestOrientationDamaged(t *testing.T) {
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		b := exifBlock(order, 3)
		if got := orientation(b); got != 3 {
			t.Errorf("%v: orientation %d, want 3", order, got)
		}
		for n := range len(b) - 4 { // the last four bytes are the next directory
			if got := orientation(b[:n]); got != 1 {
				t.Errorf("%v: orientation of the first %d bytes is %d, want 1", order, n, got)
			}
		}
		far := bytes.Clone(b)
		copy(far[4:], "\xff\xff\xff\xff")
		if got := orientation(far); got != 1 {
			t.Errorf("%v: orientation of a far directory is %d, want 1", order, got)
		}
	}
	jpg := encode(t, func(b *bytes.Buffer) error { return jpeg.Encode(b, NewImage(8, 8, 1).Std(), nil) })
	files := map[string]struct {
		b    []byte
		head int
		find func([]byte) []byte
	}{
		"JPEG": {withJPEGSegment(jpg, 3), 2, jpegEXIF},
		"PNG":  {withPNGChunk(encodePNG(t, NewImage(8, 8, 1).Std()), 3), 8, pngEXIF},
		"WebP": {flatWebP(8, 8, 0, 0, 0, riffChunk("EXIF", exifBlock(binary.LittleEndian, 3))...), 12, webpEXIF},
	}
	for name, f := range files {
		if got := orientation(f.find(f.b)); got != 3 {
			t.Errorf("%s: orientation %d, want 3", name, got)
		}
		for n := f.head; n < len(f.b); n++ {
			if got := orientation(f.find(f.b[:n])); got != 1 && got != 3 {
				t.Errorf("%s: orientation of the first %d bytes is %d", name, n, got)
			}
		}
	}
}
