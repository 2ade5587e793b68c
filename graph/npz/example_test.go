package npz_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"tessera/graph/npz"
)

func Example() {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "model.npz")
	err = npz.Write(path, []npz.Array{{Name: "head/kernel", Shape: []int{1, 2}, Data: []float32{0.5, -1}}})
	if err != nil {
		log.Fatal(err)
	}

	f, err := npz.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	for _, name := range f.Names() {
		shape, _ := f.Shape(name)
		values, err := f.Float32(name)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(name, shape, values)
	}
	// Output: head/kernel [1 2] [0.5 -1]
}
