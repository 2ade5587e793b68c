package data

import (
	"archive/tar"
	"bytes"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"testing"
)

func TestCaptionsPath(t *testing.T) {
	dir := t.TempDir()
	var picture, archive bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 2, 2))); err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(&archive)
	for name, text := range map[string]string{"a.png": picture.String(), "a.txt": "gray"} {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o666, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"a.png": picture.Bytes(), "a.tar": archive.Bytes(), "a.csv": []byte("path,caption\na.png,gray\n")} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	table, err := OpenCaptions(filepath.Join(dir, "a.csv"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := table.Path(0), filepath.Join(dir, "a.png"); got != want {
		t.Errorf("the image of a table is %q, want %q", got, want)
	}
	shard, err := OpenWebDataset(filepath.Join(dir, "a.tar"))
	if err != nil {
		t.Fatal(err)
	}
	if got := shard.Path(0); got != "" {
		t.Errorf("the image in an archive is %q", got)
	}
}
