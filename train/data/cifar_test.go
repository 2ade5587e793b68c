package data

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const cifarMeta = "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n"

// cifarRecords are images whose planes have the values 3i, 3i+1 and 3i+2, with
// a first red pixel of 200.
func cifarRecords(labels ...byte) []byte {
	var b []byte
	for i, y := range labels {
		b = append(b, y)
		for c := range 3 {
			b = append(b, bytes.Repeat([]byte{byte(3*i + c)}, cifarPlane)...)
		}
		b[len(b)-3*cifarPlane] = 200
	}
	return b
}

func cifarDir(t *testing.T) string {
	dir := t.TempDir()
	write(t, dir, "batches.meta.txt", []byte(cifarMeta))
	for i := 1; i <= 5; i++ {
		write(t, dir, fmt.Sprintf("data_batch_%d.bin", i), cifarRecords(byte(i), byte(i+1)))
	}
	write(t, dir, "test_batch.bin", cifarRecords(9, 0, 5))
	return dir
}

func TestCIFAR10(t *testing.T) {
	dir := cifarDir(t)
	for _, tt := range []struct {
		split  string
		labels []int
	}{
		{"train", []int{1, 2, 2, 3, 3, 4, 4, 5, 5, 6}},
		{"test", []int{9, 0, 5}},
	} {
		ds, err := CIFAR10(dir, tt.split)
		if err != nil {
			t.Fatal(err)
		}
		var labels []int
		for i := range ds.Len() {
			ex, err := ds.Example(i)
			if err != nil {
				t.Fatal(err)
			}
			labels = append(labels, ex.Label)
		}
		if !slices.Equal(labels, tt.labels) {
			t.Errorf("%s: labels %v, want %v", tt.split, labels, tt.labels)
		}
		ex, _ := ds.Example(1)
		want := []uint8{200, 4, 5, 3, 4, 5}
		if im := ex.Image; im.Validate() != nil || im.W != 32 || im.C != 3 || !slices.Equal(im.Pix[:6], want) {
			t.Errorf("%s: image begins %v, want %v", tt.split, ex.Image.Pix[:6], want)
		}
		if ex.Name != tt.split+"/1" || ds.Classes()[9] != "truck" {
			t.Errorf("name %s, classes %q", ex.Name, ds.Classes())
		}
	}
}

func TestCIFAR10Rejects(t *testing.T) {
	for _, tt := range []struct {
		name, split, file string
		content           []byte // nil: the file is missing
		want              string
	}{
		{"a missing batch", "train", "data_batch_3.bin", nil, "data_batch_3.bin: no such file"},
		{"missing names", "test", "batches.meta.txt", nil, "batches.meta.txt"},
		{"too few names", "test", "batches.meta.txt", []byte("cat\ndog\n"), "2 class names, want 10"},
		{"an empty file", "test", "test_batch.bin", []byte{}, "test_batch.bin: 0 bytes, want a positive multiple of 3073"},
		{"a truncated record", "test", "test_batch.bin", cifarRecords(1, 2)[:6000], "6000 bytes, want a positive multiple of 3073"},
		{"a label out of range", "test", "test_batch.bin", cifarRecords(1, 10), "label 10 in record 1, want 0 to 9"},
		{"too large a file", "test", "test_batch.bin", make([]byte, cifarFile+cifarRecord), "more than 30730000 bytes"},
		{"an unknown split", "val", "test_batch.bin", nil, `no split "val"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := cifarDir(t)
			if tt.content == nil {
				os.Remove(filepath.Join(dir, tt.file))
			} else {
				write(t, dir, tt.file, tt.content)
			}
			if _, err := CIFAR10(dir, tt.split); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func FuzzCIFAR(f *testing.F) {
	f.Add(cifarRecords(1))
	f.Add(cifarRecords(1, 2, 255))
	f.Add([]byte{3})
	f.Fuzz(func(t *testing.T, b []byte) {
		p := &packed{w: cifarSide, h: cifarSide, c: 3, classes: digits(10)}
		if p.readCIFAR(bytes.NewReader(b)) != nil {
			return
		}
		if p.Len() != len(b)/cifarRecord || len(p.pix) != p.Len()*3*cifarPlane {
			t.Errorf("%d bytes give %d labels and %d values", len(b), p.Len(), len(p.pix))
		}
	})
}
