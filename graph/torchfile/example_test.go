package torchfile_test

import (
	"fmt"
	"log"

	"tessera/graph/torchfile"
)

// A state dict is read without running the pickle it is stored in.
func Example() {
	f, err := torchfile.Open("../../testdata/torch/state.pt")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	for _, name := range f.Names()[:2] {
		shape, _ := f.Shape(name)
		fmt.Println(name, shape)
	}
	// Output:
	// bfloat [2 1]
	// count []
}
