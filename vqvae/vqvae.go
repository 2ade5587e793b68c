package vqvae

import (
	"tessera/graph"
)

// Model turns images into tokens and back.
type Model struct {
	Config
	Encoder   *Encoder
	Quantizer Quantizer
	Decoder   *Decoder

	params *graph.Params
}

// New makes a model with values from src: graph.Seed for a fresh one, or a
// checkpoint's tensors.
func New(c Config, src graph.Source) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	s := graph.NewScope(src)
	m := &Model{
		Config:    c,
		Encoder:   newEncoder(s.Sub("encoder"), c),
		Quantizer: newQuantizer(s.Sub("vq"), c),
		Decoder:   newDecoder(s.Sub("decoder"), c),
		params:    s.Params(),
	}
	return m, s.Err()
}

// Params returns the parameters; running statistics and moving averages are
// frozen.
func (m *Model) Params() *graph.Params { return m.params }

// Quantize encodes images (B, C, S, S), whose pixels lie in PixelRange, and
// quantizes the vectors of all places, (B·G·G, D) row by row of every image: the
// vector of a place is its channels.
func (m *Model) Quantize(b *graph.Builder, images *graph.Node) Quantized {
	b.Expect(images, -1, m.Channels, m.ImageSize, m.ImageSize)
	z := b.Transpose(m.Encoder.Forward(b, images), 0, 2, 3, 1) // (B, G, G, D)
	return m.Quantizer.Forward(b, b.Reshape(z, images.Shape()[0]*m.Tokens(), m.EmbeddingDim))
}

// Draw decodes codes (B·G·G, D) to images (B, C, S, S). Pixels may leave
// PixelRange.
func (m *Model) Draw(b *graph.Builder, codes *graph.Node) *graph.Node {
	G := m.Grid()
	z := b.Reshape(codes, codes.Shape()[0]/m.Tokens(), G, G, m.EmbeddingDim)
	return m.Decoder.Forward(b, b.Transpose(z, 0, 3, 1, 2))
}

// Losses are what training minimizes the sum of.
type Losses struct {
	Reconstruction *graph.Node // (1), mean squared error of pixels
	Codebook       *graph.Node // (1), nil if the codebook asks for nothing
}

// Total is their sum.
func (l Losses) Total(b *graph.Builder) *graph.Node {
	if l.Codebook == nil {
		return l.Reconstruction
	}
	return b.Add(l.Reconstruction, l.Codebook)
}

// Reconstruct encodes and decodes images.
func (m *Model) Reconstruct(b *graph.Builder, images *graph.Node) (drawn *graph.Node, q Quantized, l Losses) {
	q = m.Quantize(b, images)
	drawn = m.Draw(b, q.Codes)
	return drawn, q, Losses{meanSquare(b, drawn, images), q.Loss}
}

// Loss is the mean squared error of the pixels of "image" (n, C, S, S), plus
// what the codebook asks for. Outputs are recon_loss, the former alone, vq_loss,
// the latter, and perplexity, how many codes the batch uses as if evenly.
func (m *Model) Loss(b *graph.Builder, n int) *graph.Node {
	_, q, l := m.Reconstruct(b, b.Input("image", n, m.Channels, m.ImageSize, m.ImageSize))
	b.Output("recon_loss", l.Reconstruction)
	if l.Codebook != nil {
		b.Output("vq_loss", l.Codebook)
	}
	b.Output("perplexity", b.Perplexity(q.IDs, m.NumEmbeddings))
	return l.Total(b)
}
