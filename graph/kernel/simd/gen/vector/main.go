// Command vector writes the kernels of elementwise functions and of functions
// of rows, each for AVX-512 and for AVX2 with FMA.
package main

import . "github.com/mmcloughlin/avo/build"

func main() {
	ConstraintExpr("!noasm")
	for _, v := range []level{avx512, avx2} {
		v.activations()
		v.arithmetic()
		v.exponentials()
		v.sums()
		v.columns()
		v.softmax()
		v.softmaxBackward()
		v.layerNorm()
		v.layerNormBackward()
		v.adamW()
		v.dropout()
	}
	bytesAVX512()
	bytesAVX2()
	Generate()
}
