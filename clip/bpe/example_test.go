package bpe_test

import (
	"fmt"
	"slices"

	"tessera/clip/bpe"
)

// A tokenizer is trained from captions; the same captions give the same one.
func Example() {
	captions := []string{"a red circle", "a red square", "a blue circle", "a blue square"}
	t, err := bpe.Train(slices.Values(captions), 530, bpe.OpenAI)
	if err != nil {
		fmt.Println(err)
		return
	}
	ids := t.Encode("A blue   circle")
	fmt.Println(t.Size(), ids)
	fmt.Println(t.Decode(ids))
	fmt.Println(t.Pad(ids, 6))
	// Output:
	// 529 [527 320 523 526 528]
	// a blue circle
	// [527 320 523 526 528 0]
}
