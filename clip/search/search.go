// Package search finds items by image and text in the one space of a CLIP model
// (arXiv:2103.00020).
//
// An [Index] holds items: each has an image, a text, or both, as unit vectors,
// and metadata. [Open] gives one in a file of this machine; the packages below
// give the same over servers that grow further.
package search

import (
	"context"
	"image"
)

// An Index holds items and finds them. All methods may be called at once, and
// a search sees every Put and Delete that returned before it began.
type Index interface {
	// Put adds items, replacing those of the same ID. When it returns nil they
	// are on disk; on an error none of them is in the index.
	Put(ctx context.Context, items []Item) error
	// Delete removes items and returns how many there were. Unknown IDs are
	// no error.
	Delete(ctx context.Context, ids []string) (int, error)
	// Get returns the items that exist, with their vectors, in the order asked.
	Get(ctx context.Context, ids []string) ([]Item, error)
	// Search returns the best hits, the best first; equal scores by ID.
	Search(ctx context.Context, q Query) ([]Hit, error)
	// Info says what is in the index.
	Info(ctx context.Context) (Info, error)
	Close() error
}

// An Item is an image, a text, or both.
type Item struct {
	ID    string         `json:"id"`              // not empty, at most 1024 bytes
	Image string         `json:"image,omitempty"` // where the image is: a path or an address
	Text  string         `json:"text,omitempty"`
	Meta  map[string]any `json:"meta,omitempty"` // what JSON can hold

	ImageVector []float32 `json:"-"` // (D) of unit length, nil without an image
	TextVector  []float32 `json:"-"` // (D) of unit length, nil without a text
}

// Modality says which vectors of the items are looked at.
type Modality string

const (
	Either Modality = ""      // both, their scores joined by the query's Fusion
	Images Modality = "image" // items without an image are not found
	Texts  Modality = "text"  // items without a text are not found
)

// Fusion says how the scores of an item's image and text become one. The
// cosines of texts with texts lie far above those of texts with images, so
// their plain mean lets the captions decide (arXiv:2507.19054).
type Fusion string

const (
	Raw          Fusion = "raw"          // the mean of the cosines
	Centred      Fusion = "centred"      // cosines after each modality's mean, times Trust, is taken away (arXiv:2507.19054)
	Standardized Fusion = "standardized" // scores by mean and deviation over the items (arXiv:2511.22141)
	Reciprocal   Fusion = "reciprocal"   // the sum of 1/(60 + rank), doi:10.1145/1571941.1572114
)

// Trust is the part of the mean of n vectors that [Centred] takes away, n/(n+16).
// The mean of a few tells more of them than of their modality: that of one is the
// vector itself, of which nothing would be left.
func Trust(n int) float64 { return float64(n) / float64(n+16) }

// A Query is a weighted sum of terms.
type Query struct {
	Terms    []Term
	In       Modality
	Fusion   Fusion // "" is the default, see DefaultFusion
	K        int    // hits wanted, at least 1
	Filter   Filter
	MinScore *float64 // hits below are left out; nil for none
}

// Fuses is the fusion that q asks for: the default if it names none, and Raw if it
// looks at one modality, for then there is nothing to join.
func (q Query) Fuses() Fusion {
	switch {
	case q.In != Either:
		return Raw
	case q.Fusion == "":
		return DefaultFusion
	}
	return q.Fusion
}

// A Term is one text or image that is looked for.
type Term struct {
	Vector []float32 // (D) of unit length
	Kind   Modality  // Images or Texts: what the vector was made of
	Weight float64   // not 0; below 0 to stay away from it
}

// A Hit is an item that was found.
type Hit struct {
	Item          // without its vectors
	Score float64 `json:"score"`
	// Cosine of the query with the image and with the text, nil where there is
	// none.
	ImageCosine *float64 `json:"image_cosine,omitempty"`
	TextCosine  *float64 `json:"text_cosine,omitempty"`
}

// A Filter holds if all its conditions do. An empty one holds always.
type Filter []Condition

// A Condition compares one key of an item's metadata.
type Condition struct {
	Key   string `json:"key"`
	Op    Op     `json:"op"`
	Value any    `json:"value,omitempty"` // a string, a number or a bool
}

// Op compares. Numbers are ordered by value and strings by bytes; values of
// different types are never equal nor ordered. A list matches Equal if one of
// its elements does.
type Op string

const (
	Equal        Op = "="
	NotEqual     Op = "!=" // also where the key is missing
	Less         Op = "<"
	LessEqual    Op = "<="
	Greater      Op = ">"
	GreaterEqual Op = ">="
	Exists       Op = "exists"
)

// Info describes an index.
type Info struct {
	Model  string `json:"model"` // the hash of the model that made the vectors
	Dim    int    `json:"dim"`   // D
	Items  int    `json:"items"`
	Images int    `json:"images"` // items with an image
	Texts  int    `json:"texts"`  // items with a text
	Bytes  int64  `json:"bytes"`  // on disk, 0 if unknown
}

// An Embedder maps images and texts into the space of one model. It may be used
// by several goroutines at once.
type Embedder interface {
	Model() string // a hash of the model's weights and configuration
	Dim() int      // D
	// Texts and Images give a unit vector (D) for each element.
	Texts(ctx context.Context, texts []string) ([][]float32, error)
	Images(ctx context.Context, images []image.Image) ([][]float32, error)
}
