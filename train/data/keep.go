package data

import "sync/atomic"

// Keep is ds with images as p prepares them, each kept in memory once it was
// asked for: epochs after the first neither decode nor resize. If all of them
// would take more than limit bytes it is ds itself. Where p leaves an image that
// it has prepared as it is, as one that resizes or crops to one size does, the
// batches of a [Loader] are the same with it and without.
func Keep(ds Dataset, p Preprocess, limit int64) Dataset {
	w, h := p.Output()
	if each := int64(w) * int64(h) * int64(p.Channels()); each > 0 && int64(ds.Len()) > limit/each {
		return ds
	}
	return &kept{Dataset: ds, p: p, examples: make([]atomic.Pointer[Example], ds.Len())}
}

type kept struct {
	Dataset
	p        Preprocess
	examples []atomic.Pointer[Example]
}

func (k *kept) Example(i int) (Example, error) {
	if ex := k.examples[i].Load(); ex != nil {
		return *ex, nil
	}
	ex, err := k.Dataset.Example(i)
	if err != nil {
		return ex, err
	}
	if ex.Image, err = k.p.Apply(ex.Image); err != nil {
		return ex, err
	}
	ex.Boxes = nil // they bound places of the image before
	k.examples[i].Store(&ex)
	return ex, nil
}
