package clip

import (
	"embed"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/pkg/errors"
)

//go:embed templates/*.txt
var templateFiles embed.FS

// blank is where a template takes the name of a class.
const blank = "{}"

// TemplateSets lists the names of the published sets of prompt templates.
func TemplateSets() []string {
	entries, err := templateFiles.ReadDir("templates")
	if err != nil {
		return nil // they are part of the program
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".txt"))
	}
	return names
}

// Templates returns a published set of prompt templates, each with {} for the
// class: "openai-imagenet-80" and "cifar" as openai/CLIP evaluates with, or
// "simple".
func Templates(name string) ([]string, error) {
	text, err := templateFiles.ReadFile(path.Join("templates", name+".txt"))
	if err != nil {
		return nil, errors.Errorf("clip: there is no set of templates %q, only %s", name, strings.Join(TemplateSets(), ", "))
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n"), nil
}

// ZeroShot makes a classifier of names: a row of E for each class, of unit
// length, which is the mean of its prompts' embeddings (arXiv:2103.00020,
// section 3.1.4). encode gives the ids of a prompt.
func (e *Encoder) ZeroShot(classes, templates []string, encode func(string) []int) ([]float32, error) {
	if len(classes) == 0 || len(templates) == 0 {
		return nil, errors.Errorf("clip: %d classes and %d templates, want one of each or more", len(classes), len(templates))
	}
	var texts [][]int
	for _, c := range classes {
		for _, t := range templates {
			if !strings.Contains(t, blank) {
				return nil, errors.Errorf("clip: template %q has no %s for the class", t, blank)
			}
			texts = append(texts, encode(strings.ReplaceAll(t, blank, c)))
		}
	}
	rows, err := e.Texts(texts)
	if err != nil {
		return nil, err
	}
	E := e.ProjectionDim
	weights := make([]float32, 0, len(classes)*E)
	for prompts := range slices.Chunk(rows, len(templates)*E) {
		weights = append(weights, direction(prompts, E)...)
	}
	return weights, nil
}

// direction is the sum of rows of n values, at unit length.
func direction(rows []float32, n int) []float32 {
	sum := make([]float64, n)
	for i, v := range rows {
		sum[i%n] += float64(v)
	}
	square := 0.0
	for _, v := range sum {
		square += v * v
	}
	d := make([]float32, n)
	if square > 0 {
		for i, v := range sum {
			d[i] = float32(v / math.Sqrt(square))
		}
	}
	return d
}

// Probabilities compares an embedding with every row of a classifier: the
// softmax of logits, or their sigmoids in a model with a logit bias, which was
// trained to answer for every text alone.
func (m *Model) Probabilities(embedding, classifier []float32) []float64 {
	E := len(embedding)
	p := make([]float64, 0, len(classifier)/E)
	scale := math.Exp(float64(m.LogitScale.Float32s()[0]))
	top := math.Inf(-1)
	for row := range slices.Chunk(classifier, E) {
		dot := 0.0
		for i, v := range row {
			dot += float64(v) * float64(embedding[i])
		}
		x := scale * dot
		if m.LogitBias != nil {
			x += float64(m.LogitBias.Float32s()[0])
		}
		p = append(p, x)
		top = max(top, x)
	}
	sum := 0.0
	for i, x := range p {
		if m.LogitBias != nil {
			p[i] = 1 / (1 + math.Exp(-x))
			continue
		}
		p[i] = math.Exp(x - top)
		sum += p[i]
	}
	if m.LogitBias == nil {
		for i := range p {
			p[i] /= sum
		}
	}
	return p
}
