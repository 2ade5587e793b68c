package safetensors_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"tessera/graph/safetensors"
)

func Example() {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "model.safetensors")
	err = safetensors.Write(path, []safetensors.Tensor{
		{Name: "head.weight", Shape: []int{1, 2}, Data: []float32{0.5, -1}},
	}, map[string]string{"format": "pt"})
	if err != nil {
		log.Fatal(err)
	}

	f, err := safetensors.Open(folder)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	for _, name := range f.Names() {
		info, _ := f.Info(name)
		values, err := f.Float32(name)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(name, info.Dtype, info.Shape, values)
	}
	// Output: head.weight F32 [1 2] [0.5 -1]
}
