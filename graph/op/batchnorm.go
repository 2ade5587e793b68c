package op

import (
	"github.com/pkg/errors"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tessera/graph/kernel"
)

// BatchNorm normalizes each channel of x, (B, C, H, W) or (B, C), and applies
// weight (C) and bias (C) (arXiv:1502.03167). In training it uses the
// statistics of the batch, and mean and variance are nodes for the new running
// ones: (1−momentum) of the old and momentum of the batch's, its variance
// divided by the number of elements less one. In evaluation it uses the running
// statistics, and mean and variance are nil.
func BatchNorm(x, weight, bias, runningMean, runningVar *G.Node, momentum, eps float64, training bool) (y, mean, variance *G.Node, err error) {
	return BatchNormLeakyReLU(x, weight, bias, runningMean, runningVar, momentum, eps, 1, training)
}

// BatchNormLeakyReLU is BatchNorm followed by LeakyReLU with a slope of 0 to 1,
// in fewer passes over memory.
func BatchNormLeakyReLU(x, weight, bias, runningMean, runningVar *G.Node, momentum, eps, slope float64, training bool) (y, mean, variance *G.Node, err error) {
	s := x.Shape()
	if s.Dims() != 2 && s.Dims() != 4 {
		return nil, nil, nil, errors.Errorf("x has shape %v, want (B, C, H, W) or (B, C)", s)
	}
	if !(slope >= 0 && slope <= 1) {
		return nil, nil, nil, errors.Errorf("slope is %g, want 0 to 1", slope)
	}
	k := kernel.BatchNorms{B: s[0], C: s[1], S: 1, Eps: eps, Slope: slope}
	for _, n := range s[2:] {
		k.S *= n
	}
	for i, p := range []*G.Node{weight, bias, runningMean, runningVar} {
		if p.Dims() != 1 || p.Shape()[0] != k.C {
			what := []string{"weight", "bias", "running mean", "running variance"}[i]
			return nil, nil, nil, errors.Errorf("%s has shape %v, want (%d)", what, p.Shape(), k.C)
		}
	}
	if training && k.B*k.S < 2 {
		return nil, nil, nil, errors.Errorf("x of shape %v has %d values a channel, training wants at least 2", s, k.B*k.S)
	}
	c := tensor.Shape{k.C}
	y, err = apply(spec{
		name:     "batch_norm",
		outputs:  []tensor.Shape{s, {3, k.C}, c, c},
		forward:  compute{batchNorm[float32](k, momentum, training), batchNorm[float64](k, momentum, training)},
		backward: batchNormGradients(k, training),
	}, x, weight, bias, runningMean, runningVar)
	if err != nil || !training {
		return y, nil, nil, err
	}
	if mean, err = tap(y, 2); err != nil {
		return nil, nil, nil, err
	}
	if variance, err = tap(y, 3); err != nil {
		return nil, nil, nil, err
	}
	return y, mean, variance, nil
}

// batchNorm computes y, the statistics it used, and the new running ones.
func batchNorm[T kernel.Float](k kernel.BatchNorms, momentum float64, training bool) func(out, in [][]T) {
	return func(out, in [][]T) {
		x, oldMean, oldVar := in[0], in[3], in[4]
		y, stats, newMean, newVar := out[0], out[1], out[2], out[3]
		mean, variance := stats[:k.C], stats[2*k.C:]
		if !training {
			copy(mean, oldMean)
			clear(stats[k.C : 2*k.C])
			copy(variance, oldVar)
		}
		kernel.BatchNorm(y, x, in[1], in[2], stats, k, training)
		unbiased := float64(k.B*k.S) / float64(k.B*k.S-1)
		for c := range k.C {
			newMean[c], newVar[c] = oldMean[c], oldVar[c]
			if training {
				newMean[c] = mix(oldMean[c], float64(mean[c]), momentum)
				newVar[c] = mix(oldVar[c], float64(variance[c])*unbiased, momentum)
			}
		}
	}
}

func mix[T kernel.Float](old T, batch, momentum float64) T {
	return T((1-momentum)*float64(old) + momentum*batch)
}

func batchNormGradients(k kernel.BatchNorms, training bool) gradients {
	return func(in G.Nodes, out, grad *G.Node, need []bool) (G.Nodes, error) {
		ds := make(G.Nodes, len(in))
		stats, err := tap(out, 1)
		if err != nil {
			return nil, err
		}
		c := tensor.Shape{k.C}
		if ds[0], err = apply(spec{
			name:    "batch_norm.backward",
			outputs: []tensor.Shape{in[0].Shape(), c, c},
			forward: compute{batchNormBackward[float32](k, training), batchNormBackward[float64](k, training)},
		}, in[0], in[1], stats, out, grad); err != nil {
			return nil, err
		}
		for i := 1; i <= 2; i++ {
			if !need[i] {
				continue
			}
			if ds[i], err = tap(ds[0], i); err != nil {
				return nil, err
			}
		}
		return ds, nil
	}
}

func batchNormBackward[T kernel.Float](k kernel.BatchNorms, training bool) func(out, in [][]T) {
	return func(out, in [][]T) {
		kernel.BatchNormBackward(out[0], out[1], out[2], in[0], in[1], in[2], in[3], in[4], k, !training)
	}
}
