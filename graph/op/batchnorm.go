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
	s := x.Shape()
	if s.Dims() != 2 && s.Dims() != 4 {
		return nil, nil, nil, errors.Errorf("x has shape %v, want (B, C, H, W) or (B, C)", s)
	}
	n := channels{s[0], s[1], s[2:].TotalSize()}
	if s.Dims() == 2 {
		n.s = 1
	}
	for i, p := range []*G.Node{weight, bias, runningMean, runningVar} {
		if p.Dims() != 1 || p.Shape()[0] != n.c {
			what := []string{"weight", "bias", "running mean", "running variance"}[i]
			return nil, nil, nil, errors.Errorf("%s has shape %v, want (%d)", what, p.Shape(), n.c)
		}
	}
	if training && n.b*n.s < 2 {
		return nil, nil, nil, errors.Errorf("x of shape %v has %d values a channel, training wants at least 2", s, n.b*n.s)
	}
	c := tensor.Shape{n.c}
	y, err = apply(spec{
		name:     "batch_norm",
		outputs:  []tensor.Shape{s, {3, n.c}, c, c},
		forward:  compute{batchNorm[float32](n, momentum, eps, training), batchNorm[float64](n, momentum, eps, training)},
		backward: batchNormGradients(n, eps, training),
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

// channels sees an array as (b, c, s).
type channels struct{ b, c, s int }

// batchNorm computes y, the statistics it used, and the new running ones.
func batchNorm[T kernel.Float](n channels, momentum, eps float64, training bool) func(out, in [][]T) {
	return func(out, in [][]T) {
		x, oldMean, oldVar := in[0], in[3], in[4]
		y, stats, newMean, newVar := out[0], out[1], out[2], out[3]
		mean, variance := stats[:n.c], stats[2*n.c:]
		if training {
			kernel.Moments(stats, x, n.b, n.c, n.s)
		} else {
			copy(mean, oldMean)
			clear(stats[n.c : 2*n.c])
			copy(variance, oldVar)
		}
		unbiased := float64(n.b*n.s) / float64(n.b*n.s-1)
		for c := range n.c {
			newMean[c], newVar[c] = oldMean[c], oldVar[c]
			if training {
				newMean[c] = mix(oldMean[c], float64(mean[c]), momentum)
				newVar[c] = mix(oldVar[c], float64(variance[c])*unbiased, momentum)
			}
		}
		kernel.BatchNorm(y, x, in[1], in[2], stats, eps, n.b, n.c, n.s)
	}
}

func mix[T kernel.Float](old T, batch, momentum float64) T {
	return T((1-momentum)*float64(old) + momentum*batch)
}

func batchNormGradients(n channels, eps float64, training bool) gradients {
	return func(in G.Nodes, out, grad *G.Node, need []bool) (G.Nodes, error) {
		ds := make(G.Nodes, len(in))
		stats, err := tap(out, 1)
		if err != nil {
			return nil, err
		}
		c := tensor.Shape{n.c}
		if ds[0], err = apply(spec{
			name:    "batch_norm.backward",
			outputs: []tensor.Shape{in[0].Shape(), c, c},
			forward: compute{batchNormBackward[float32](n, eps, training), batchNormBackward[float64](n, eps, training)},
		}, in[0], in[1], stats, grad); err != nil {
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

func batchNormBackward[T kernel.Float](n channels, eps float64, training bool) func(out, in [][]T) {
	return func(out, in [][]T) {
		kernel.BatchNormBackward(out[0], out[1], out[2], in[0], in[1], in[2], in[3], !training, eps, n.b, n.c, n.s)
	}
}
