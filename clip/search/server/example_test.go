package server_test

import (
	"context"
	"fmt"
	"image"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"tessera/clip/search"
	"tessera/clip/search/server"
)

// letters stands in for a CLIP model: it looks at the first letter of a text.
type letters struct{}

func (letters) Model() string { return "letters" }
func (letters) Dim() int      { return 26 }

func (letters) Texts(_ context.Context, texts []string) ([][]float32, error) {
	out := make([][]float32, len(texts))
	for i, t := range texts {
		out[i] = make([]float32, 26)
		out[i][(strings.ToLower(t)[0]-'a')%26] = 1
	}
	return out, nil
}

func (letters) Images(context.Context, []image.Image) ([][]float32, error) { return nil, nil }

func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	index, err := search.Open(filepath.Join(dir, "items.db"), search.Options{Dim: 26, Model: "letters"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer index.Close()
	s, err := server.New(index, letters{}, server.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close(context.Background())

	web := httptest.NewServer(s) // elsewhere: s.HTTPServer("127.0.0.1:8080").ListenAndServe()
	defer web.Close()
	for _, r := range []struct{ path, body string }{
		{"/v1/items", `[{"id":"1","text":"apple"},{"id":"2","text":"banana","meta":{"color":"yellow"}}]`},
		{"/v1/search", `{"terms":[{"text":"berry"}],"fusion":"raw","k":1}`},
		{"/v1/search", `{"terms":[{"text":"berry"}],"k":"many"}`},
	} {
		res, err := http.Post(web.URL+r.path, "application/json", strings.NewReader(r.body))
		if err != nil {
			fmt.Println(err)
			return
		}
		b, _ := io.ReadAll(res.Body)
		res.Body.Close()
		fmt.Printf("%d %s", res.StatusCode, b)
	}
	// Output:
	// 200 {"items":2}
	// 200 {"hits":[{"id":"2","text":"banana","meta":{"color":"yellow"},"score":1,"text_cosine":1}]}
	// 400 {"error":{"message":"k is a JSON string, want an integer","type":"invalid_request_error","code":"invalid_type"}}
}
