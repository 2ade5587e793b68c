package data

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzTable(f *testing.F) {
	f.Add([]byte("image,caption\na.png,\"a \"\"cat\"\"\"\n"), true)
	f.Add([]byte("\ufefftext\tfile\nx\ta.png\n"), false)
	f.Fuzz(func(t *testing.T, b []byte, comma bool) {
		separator := '\t'
		if comma {
			separator = ','
		}
		rows, err := readTable(bytes.NewReader(b), separator)
		if err != nil {
			return
		}
		for _, row := range rows {
			if row.line < 2 || row.image == "" || len(row.texts) != 1 {
				t.Errorf("row %+v", row)
			}
		}
	})
}

func FuzzJSONLines(f *testing.F) {
	f.Add([]byte(`{"image": "a.png", "caption": ["a", "b"]}` + "\n\n" + `{"path": "b", "text": "c"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		rows, err := readJSONLines(bytes.NewReader(b))
		if err != nil {
			return
		}
		for _, row := range rows {
			if row.line < 1 || row.image == "" || len(row.texts) == 0 {
				t.Errorf("row %+v", row)
			}
		}
	})
}

func FuzzCOCO(f *testing.F) {
	f.Add([]byte(coco))
	f.Fuzz(func(t *testing.T, b []byte) {
		items, err := parseCOCO(b)
		if err != nil {
			return
		}
		if len(items) == 0 {
			t.Error("no items and no error")
		}
		checkItems(t, items)
	})
}

func FuzzWebDataset(f *testing.F) {
	f.Add(tarBytes(f, "1.png", "image", "1.txt", "a cat", "2.json", `{"caption": "b"}`, "2.jpg", "x"))
	f.Add(tarBytes(f, strings.Repeat("d", 200)+"/1.png", "image", strings.Repeat("d", 200)+"/1.txt", "a cat")[:1200])
	f.Fuzz(func(t *testing.T, b []byte) {
		items, err := indexShard(bytes.NewReader(b))
		if err != nil {
			return
		}
		checkItems(t, items)
		for _, x := range items {
			if x.at < 512 || x.size < 1 || x.at+x.size > int64(len(b)) {
				t.Errorf("%s lies at %d, %d bytes long, in a file of %d", x.name, x.at, x.size, len(b))
			}
		}
	})
}

func FuzzEmoji(f *testing.F) {
	f.Add([]byte(`[{"label": "a", "hexcode": "1F600", "tags": ["b"], "name": "C", "unified": "1F600", "short_names": ["d_e"]}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, parse := range []func([]byte) (map[string][]string, error){parseEmojibase, parseEmojiData} {
			words, err := parse(b)
			if err != nil {
				continue
			}
			for code, texts := range words {
				if len(texts) == 0 {
					t.Errorf("emoji %q has no caption", code)
				}
			}
		}
	})
}

func checkItems(t *testing.T, items []captioned) {
	for _, x := range items {
		if x.name == "" || len(x.texts) == 0 {
			t.Errorf("item %+v", x)
		}
		for _, text := range x.texts {
			if text == "" || !utf8.ValidString(text) || strings.ContainsAny(text, "\n\t") {
				t.Errorf("caption %q", text)
			}
		}
	}
}
