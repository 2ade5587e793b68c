package config_test

import (
	"fmt"

	"tessera/layers/config"
)

// A configuration reports all its faults at once.
func Example() {
	var f config.Faults
	f.Size("hidden_size", 0, 1, config.Largest)
	f.If(64%5 != 0, "hidden_size 64 is not a multiple of %d heads", 5)
	fmt.Println(f.Err("vit"))
	// Output:
	// vit: hidden_size is 0, want 1 to 1048576; hidden_size 64 is not a multiple of 5 heads
}
