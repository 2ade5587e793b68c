// Command product writes the kernels of matrix products.
package main

import "github.com/mmcloughlin/avo/build"

func main() { build.Generate() }
