package data

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
)

func encode(t testing.TB, f func(*bytes.Buffer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := f(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func encodePNG(t testing.TB, m image.Image) []byte {
	t.Helper()
	return encode(t, func(b *bytes.Buffer) error { return png.Encode(b, m) })
}

// flatWebP is a lossless WebP of one color: its five prefix codes have a single
// symbol, so pixels take no bits.
func flatWebP(w, h int, r, g, b uint8, extra ...byte) []byte {
	var bits []byte
	n := 0
	put := func(v, width int) {
		for i := range width {
			if n%8 == 0 {
				bits = append(bits, 0)
			}
			bits[n/8] |= byte(v>>i&1) << (n % 8)
			n++
		}
	}
	put(0x2f, 8)
	put(w-1, 14)
	put(h-1, 14)
	put(0, 1+3) // alpha, version
	put(0, 3)   // transforms, color cache, groups of codes
	for _, symbol := range []uint8{g, r, b, 255, 0} {
		put(0b101, 3) // simple, one symbol, of 8 bits
		put(int(symbol), 8)
	}
	body := append([]byte("WEBP"), riffChunk("VP8L", bits)...)
	return riffChunk("RIFF", append(body, extra...))
}

func riffChunk(name string, content []byte) []byte {
	b := binary.LittleEndian.AppendUint32([]byte(name), uint32(len(content)))
	b = append(b, content...)
	return append(b, make([]byte, len(content)%2)...)
}

func TestDecodeLossless(t *testing.T) {
	gray, rgb := noise(13, 7, 1, 1), noise(13, 7, 3, 2)
	flat := NewImage(5, 3, 3)
	for i := range flat.Pix {
		flat.Pix[i] = []uint8{10, 200, 30}[i%3]
	}
	paletted := image.NewPaletted(image.Rect(0, 0, 13, 7), color.Palette{color.Black, color.White, color.RGBA{9, 99, 199, 255}})
	for i := range paletted.Pix {
		paletted.Pix[i] = uint8(i % 3)
	}
	for _, tt := range []struct {
		name string
		file []byte
		want *Image
	}{
		{"PNG gray", encodePNG(t, gray.Std()), gray},
		{"PNG RGB", encodePNG(t, rgb.Std()), rgb},
		{"PNG palette", encodePNG(t, paletted), FromStd(paletted)},
		{"BMP", encode(t, func(b *bytes.Buffer) error { return bmp.Encode(b, rgb.Std()) }), rgb},
		{"TIFF", encode(t, func(b *bytes.Buffer) error { return tiff.Encode(b, rgb.Std(), nil) }), rgb},
		{"TIFF gray, packed", encode(t, func(b *bytes.Buffer) error {
			return tiff.Encode(b, gray.Std(), &tiff.Options{Compression: tiff.Deflate})
		}), gray},
		{"GIF", encode(t, func(b *bytes.Buffer) error { return gif.Encode(b, paletted, nil) }), FromStd(paletted)},
		{"WebP", flatWebP(5, 3, 10, 200, 30), flat},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Decode(bytes.NewReader(tt.file), 0)
			if err != nil {
				t.Fatal(err)
			}
			if !same(got, tt.want) {
				t.Errorf("decoded %d×%d×%d, want %d×%d×%d with the encoded pixels", got.W, got.H, got.C, tt.want.W, tt.want.H, tt.want.C)
			}
		})
	}
}

func TestDecodeJPEG(t *testing.T) {
	im := NewImage(32, 24, 3)
	for i := range im.Pix {
		im.Pix[i] = uint8(2*(i/3%32) + 3*(i/96) + 40*(i%3))
	}
	for _, c := range []int{1, 3} {
		want := im
		if c == 1 {
			want = im.Gray()
		}
		file := encode(t, func(b *bytes.Buffer) error { return jpeg.Encode(b, want.Std(), &jpeg.Options{Quality: 100}) })
		got, err := Decode(bytes.NewReader(file), 0)
		if err != nil {
			t.Fatal(err)
		}
		if got.C != c || got.W != 32 || got.H != 24 {
			t.Fatalf("decoded %d×%d×%d", got.W, got.H, got.C)
		}
		for i, v := range got.Pix {
			if d := int(v) - int(want.Pix[i]); d > 6 || d < -6 {
				t.Fatalf("%d channels: value %d is %d, want about %d", c, i, v, want.Pix[i])
			}
		}
	}
}

func TestDecodeFirstFrameOnCanvas(t *testing.T) {
	frame := image.NewPaletted(image.Rect(2, 1, 4, 3), color.Palette{color.White})
	other := image.NewPaletted(image.Rect(0, 0, 5, 4), color.Palette{color.RGBA{255, 0, 0, 255}})
	file := encode(t, func(b *bytes.Buffer) error {
		return gif.EncodeAll(b, &gif.GIF{
			Image:  []*image.Paletted{frame, other},
			Delay:  []int{0, 0},
			Config: image.Config{Width: 5, Height: 4},
		})
	})
	im, err := Decode(bytes.NewReader(file), 0)
	if err != nil {
		t.Fatal(err)
	}
	want := &Image{W: 5, H: 4, C: 1, Pix: []uint8{
		0, 0, 0, 0, 0,
		0, 0, 255, 255, 0,
		0, 0, 255, 255, 0,
		0, 0, 0, 0, 0,
	}}
	if !same(im.Gray(), want) {
		t.Errorf("got %d×%d pixels %v", im.W, im.H, im.Gray().Pix)
	}
}

func TestDecodeRefuses(t *testing.T) {
	small := encodePNG(t, noise(20, 10, 3, 1).Std())
	// A header alone: 4 gigapixels are announced, none are there.
	bomb := bytes.Clone(small)
	binary.BigEndian.PutUint32(bomb[16:], 1<<16)
	binary.BigEndian.PutUint32(bomb[20:], 1<<16)
	binary.BigEndian.PutUint32(bomb[29:], crc32.ChecksumIEEE(bomb[12:29]))
	for _, tt := range []struct {
		name      string
		file      []byte
		maxPixels int
		want      string
	}{
		{"empty", nil, 0, "not a JPEG"},
		{"text", []byte("hello, world"), 0, `starts with "hello, w"`},
		{"magic only", []byte("\x89PNG\r\n\x1a\n"), 0, "PNG header"},
		{"JPEG magic only", []byte("\xff\xd8"), 0, "JPEG header"},
		{"cut short", small[:len(small)/2], 0, "PNG"},
		{"one pixel too many", small, 199, "20×10 pixels exceeds the limit of 199 pixels"},
		{"bomb", bomb, 0, "65536×65536 pixels exceeds the limit of 64000000 pixels"},
		{"WebP bomb", flatWebP(1<<14, 1<<14, 0, 0, 0), 0, "16384×16384 pixels exceeds"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Decode(bytes.NewReader(tt.file), tt.maxPixels)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	if _, err := Decode(bytes.NewReader(small), 200); err != nil {
		t.Errorf("image at the limit: %v", err)
	}
}

func TestDecodeFileNamesPath(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "cat.png")
	if err := os.WriteFile(path, encodePNG(t, noise(20, 10, 3, 1).Std()), 0o644); err != nil {
		t.Fatal(err)
	}
	if im, err := DecodeFile(path, 0); err != nil || im.W != 20 || im.H != 10 {
		t.Errorf("image %v, error %v", im, err)
	}
	for _, p := range []string{path, filepath.Join(dir, "none.png"), dir} {
		if _, err := DecodeFile(p, 50); err == nil || !strings.Contains(err.Error(), p) {
			t.Errorf("error %v, want it to name %s", err, p)
		}
	}
}

func FuzzDecode(f *testing.F) {
	rgb := noise(6, 5, 3, 1).Std()
	for _, b := range [][]byte{
		encodePNG(f, rgb),
		encodePNG(f, noise(3, 9, 1, 1).Std()),
		encode(f, func(b *bytes.Buffer) error { return jpeg.Encode(b, rgb, nil) }),
		encode(f, func(b *bytes.Buffer) error { return gif.Encode(b, rgb, nil) }),
		encode(f, func(b *bytes.Buffer) error { return bmp.Encode(b, rgb) }),
		encode(f, func(b *bytes.Buffer) error { return tiff.Encode(b, rgb, nil) }),
		flatWebP(4, 3, 1, 2, 3, riffChunk("EXIF", exifBlock(binary.LittleEndian, 6))...),
		withJPEGSegment(encode(f, func(b *bytes.Buffer) error { return jpeg.Encode(b, rgb, nil) }), 8),
	} {
		f.Add(b)
	}
	const limit = 1 << 14
	f.Fuzz(func(t *testing.T, b []byte) {
		im, err := Decode(bytes.NewReader(b), limit)
		if err != nil {
			return
		}
		if err := im.Validate(); err != nil {
			t.Error(err)
		}
		if im.W*im.H > limit {
			t.Errorf("%d×%d pixels exceed the limit", im.W, im.H)
		}
	})
}
