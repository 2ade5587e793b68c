package vit

// FLOPs is the number of floating-point operations of a forward pass over one
// image: two for each multiply-add of a matrix product. Norms, activations and
// softmax, well below a hundredth of that, are not counted.
func (c Config) FLOPs() int64 {
	N, D, I := int64(c.Tokens()), int64(c.HiddenSize), int64(c.Intermediate)
	patches := (N - 1) * D * int64(c.Channels*c.PatchSize*c.PatchSize)
	projections := 4 * N * D * D // query, key, value, output
	attention := 2 * N * N * D   // scores and the values they weigh
	mlp := 2 * N * D * I
	head := D * int64(c.Classes())
	return 2 * (patches + int64(c.Layers)*(projections+attention+mlp) + head)
}
