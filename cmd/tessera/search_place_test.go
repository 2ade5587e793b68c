package main

import (
	"reflect"
	"strings"
	"testing"

	"tessera/clip/search/pgvector"
	"tessera/clip/search/weaviate"
)

func TestSearchPlaces(t *testing.T) {
	for _, tt := range []struct {
		index string
		want  any    // options
		says  string // part of the error
	}{
		{"weaviate://localhost:8080/Photos", weaviate.Options{URLs: []string{"http://localhost:8080"}, Class: "Photos"}, ""},
		{"weaviates://a,b:1/Photos?replicas=3", weaviate.Options{URLs: []string{"https://a", "https://b:1"}, Class: "Photos", Replicas: 3}, ""},
		{"weaviate://localhost:8080", nil, "want weaviate://HOST:PORT"},
		{"weaviate:///Photos", nil, "want weaviate://HOST:PORT"},
		{"weaviate://a/Photos?replicas=0", nil, `replicas is "0", want 1 or more`},
		{"weaviate://a/Photos?replicas=x", nil, `replicas is "x"`},
		{"weaviate://a/Photos?copies=3", nil, "copies is no option"},
		{"weaviate://a/Photos?%zz", nil, "invalid URL escape"},
		{"postgres://u:p@h/db", pgvector.Options{URL: "postgres://u:p@h/db?", Table: "items"}, ""},
		{"postgres://u:p@h:1,g:2/db?table=photos&sslmode=disable&hnsw=true", pgvector.Options{URL: "postgres://u:p@h:1,g:2/db?sslmode=disable", Table: "photos", HNSW: true}, ""},
		{"postgres://u:secret@h/db?hnsw=1", nil, `u:xxxxx@h/db?hnsw=1: hnsw is "1", want true or false`},
		{"postgres://u:secret@h/db?%zz", nil, "invalid URL escape"},
	} {
		var got any
		var err error
		if scheme, rest, _ := strings.Cut(tt.index, "://"); scheme == "postgres" {
			got, err = inPostgres(tt.index)
		} else {
			got, err = inWeaviate(scheme, rest)
		}
		switch {
		case tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "secret") || exitCode(err) != exitUsage):
			t.Errorf("%s: error %v, want one of use with %q", tt.index, err, tt.says)
		case tt.says == "" && (err != nil || !reflect.DeepEqual(got, tt.want)):
			t.Errorf("%s gives %+v, %v; want %+v", tt.index, got, err, tt.want)
		}
	}
}

func TestWithoutPassword(t *testing.T) {
	for _, tt := range []struct{ index, want string }{
		{"photos.tessera", "photos.tessera"},
		{"a:b@c.tessera", "a:b@c.tessera"},
		{"postgres://h/db", "postgres://h/db"},
		{"postgres://u@h:5432/db", "postgres://u@h:5432/db"},
		{"postgres://u:p:w@d@h:5432/db?table=t", "postgres://u:xxxxx@h:5432/db?table=t"},
		{"postgres://:p@h/db", "postgres://:xxxxx@h/db"},
		{"postgres://h/db?user=u&password=p&table=t", "postgres://h/db?user=u&password=xxxxx&table=t"},
	} {
		if got := withoutPassword(tt.index); got != tt.want {
			t.Errorf("%s is shown as %s, want %s", tt.index, got, tt.want)
		}
	}
}
