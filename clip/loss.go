package clip

import "tessera/graph"

// InfoNCE is the symmetric cross-entropy of logits (n, n), images by texts,
// against target (n, n), whose rows and columns are probabilities
// (arXiv:2103.00020). It has the shape (1).
func InfoNCE(b *graph.Builder, logits, target *graph.Node) *graph.Node {
	rows := b.CrossEntropy(logits, target)
	columns := b.CrossEntropy(b.Transpose(logits, 1, 0), b.Transpose(target, 1, 0))
	return b.Scale(b.Add(rows, columns), 0.5)
}

// SigLIP is the binary cross-entropy of every logit (n, m) against match
// (n, m), 1 where image and text belong together and 0 elsewhere, summed over
// texts and averaged over images (arXiv:2303.15343). It has the shape (1).
func SigLIP(b *graph.Builder, logits, match *graph.Node) *graph.Node {
	n, m := logits.Shape()[0], logits.Shape()[1]
	// A sigmoid is a softmax beside a logit of 0, and that is stable.
	against := func(x, y *graph.Node) *graph.Node {
		return b.Concat(1, b.Reshape(x, n*m, 1), y)
	}
	x := against(logits, b.Const(make([]float64, n*m), n*m, 1))
	p := against(match, b.Reshape(b.Shift(b.Scale(match, -1), 1), n*m, 1))
	return b.Scale(b.CrossEntropy(x, p), float64(m))
}

// Pairs is the matrix (n, n) in which image i belongs to text i alone.
func Pairs(b *graph.Builder, n int) *graph.Node {
	v := make([]float64, n*n)
	for i := range n {
		v[i*n+i] = 1
	}
	return b.Const(v, n, n)
}

// Matches is the matrix (n, m) in which rows belong to the columns of the same
// label: 1 there, 0 elsewhere. Labels (n) and (m) are whole numbers.
func Matches(b *graph.Builder, rows, columns *graph.Node) *graph.Node {
	n, m := rows.Shape()[0], columns.Shape()[0]
	apart := b.Sub(b.Reshape(rows, n, 1), b.Reshape(columns, 1, m))
	// e⁰ is 1, and e to −1,000 or less is 0 in either precision.
	return b.Exp(b.Scale(b.Square(apart), -1000))
}

// Shares makes the rows of matches (n, m) probabilities: texts that belong to
// an image share it equally (arXiv:2004.11362, arXiv:2204.03610).
func Shares(b *graph.Builder, matches *graph.Node) *graph.Node {
	return b.Div(matches, b.Reshape(b.Sum(matches, 1), matches.Shape()[0], 1))
}
