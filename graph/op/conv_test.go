package op_test

import (
	"fmt"
	"testing"

	"gorgonia.org/tensor"

	"tessera/graph"
	"tessera/graph/op"
)

func TestConv2D(t *testing.T) {
	expect(t, []int{1, 1, 2, 2}, []float64{37.5, 47.5, 67.5, 77.5}, func(b *graph.Builder) *graph.Node {
		x := b.Must(op.Shift(upTo(b, 1, 1, 3, 3), 1))
		w := b.Const([]float64{1, 2, 3, 4}, 1, 1, 2, 2)
		return b.Must(op.Conv2D(x, w, b.Const([]float64{0.5}, 1), 1, 0))
	})
	for _, tt := range []struct {
		stride, padding int
		x, w            []int
	}{
		{1, 0, []int{1, 1, 1, 1}, []int{1, 1, 1, 1}},
		{1, 1, []int{2, 3, 4, 5}, []int{4, 3, 3, 3}},
		{2, 1, []int{2, 2, 5, 4}, []int{3, 2, 4, 3}},
		{3, 2, []int{1, 2, 4, 7}, []int{2, 2, 1, 2}},
	} {
		conv := func(b *graph.Builder, x ...*graph.Node) *graph.Node {
			return b.Must(op.Conv2D(x[0], x[1], append(x, nil)[2], tt.stride, tt.padding))
		}
		name := fmt.Sprintf("stride %d padding %d ", tt.stride, tt.padding)
		checkGradients(t, name, graph.Normal(1), conv, tt.x, tt.w)
		checkGradients(t, name, graph.Normal(1), conv, tt.x, tt.w, tt.w[:1])
	}
}

func TestConvTranspose2D(t *testing.T) {
	x, w := []float64{1, 2, 3, 4}, []float64{1, 2, 3, 4}
	for _, tt := range []struct {
		stride, padding, output int
		shape                   []int
		want                    []float64
	}{
		{2, 0, 0, []int{1, 1, 4, 4}, []float64{1, 2, 2, 4, 3, 4, 6, 8, 3, 6, 4, 8, 9, 12, 12, 16}},
		{2, 1, 1, []int{1, 1, 3, 3}, []float64{4, 6, 8, 6, 4, 8, 12, 12, 16}},
		{1, 0, 0, []int{1, 1, 3, 3}, []float64{1, 4, 4, 6, 20, 16, 9, 24, 16}},
	} {
		expect(t, tt.shape, tt.want, func(b *graph.Builder) *graph.Node {
			return b.Must(op.ConvTranspose2D(b.Const(x, 1, 1, 2, 2), b.Const(w, 1, 1, 2, 2), nil, tt.stride, tt.padding, tt.output))
		})
	}
	for _, tt := range []struct {
		stride, padding, output int
		x, w                    []int
	}{
		{1, 0, 0, []int{1, 1, 1, 1}, []int{1, 1, 1, 1}},
		{2, 1, 0, []int{2, 3, 4, 2}, []int{3, 2, 4, 4}},
		{2, 1, 1, []int{2, 3, 2, 3}, []int{3, 4, 3, 3}},
		{3, 0, 2, []int{1, 2, 2, 3}, []int{2, 2, 1, 2}},
	} {
		conv := func(b *graph.Builder, x ...*graph.Node) *graph.Node {
			return b.Must(op.ConvTranspose2D(x[0], x[1], append(x, nil)[2], tt.stride, tt.padding, tt.output))
		}
		name := fmt.Sprintf("transposed, stride %d padding %d output %d ", tt.stride, tt.padding, tt.output)
		checkGradients(t, name, graph.Normal(1), conv, tt.x, tt.w)
		checkGradients(t, name, graph.Normal(1), conv, tt.x, tt.w, tt.w[1:2])
	}
}

func TestConv2DComputesNoGradientOfImages(t *testing.T) {
	s := graph.NewScope(graph.Seed(1))
	w := s.Param("w", graph.Normal(1), 2, 3, 2, 2)
	p, err := graph.Compile(func(b *graph.Builder) {
		y := b.Must(op.Conv2D(b.Input("image", 1, 3, 4, 4), b.Param(w), nil, 1, 0))
		b.Minimize(b.Must(op.Sum(y, false)))
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	seen := map[string]bool{}
	for _, n := range p.Nodes() {
		if n.Op() != nil {
			seen[n.Op().String()] = true
		}
	}
	if !seen["conv2d.dw"] || seen["conv2d.dx"] {
		t.Errorf("operations are %v, want conv2d.dw without conv2d.dx", seen)
	}
}

func TestConvErrors(t *testing.T) {
	for _, tt := range []struct {
		x, w, bias      []int
		stride, padding int
		want            string
	}{
		{[]int{2, 3, 4}, []int{1, 3, 2, 2}, nil, 1, 0, "images have shape (2, 3, 4)"},
		{[]int{1, 3, 4, 4}, []int{3, 2, 2}, nil, 1, 0, "filters have shape (3, 2, 2)"},
		{[]int{1, 3, 4, 4}, []int{5, 4, 2, 2}, nil, 1, 0, "3 channels"},
		{[]int{1, 3, 4, 4}, []int{3, 3, 2, 2}, nil, 0, 0, "stride 0"},
		{[]int{1, 3, 4, 4}, []int{3, 3, 2, 2}, nil, 1, -1, "padding -1"},
		{[]int{1, 3, 4, 4}, []int{3, 3, 2, 2}, []int{4}, 1, 0, "bias has shape (4), want (3)"},
	} {
		for _, transposed := range []bool{false, true} {
			expectError(t, func(b *graph.Builder) *graph.Node {
				var bias *graph.Node
				if tt.bias != nil {
					bias = zeros(b, tt.bias...)
				}
				x, w := zeros(b, tt.x...), zeros(b, tt.w...)
				if transposed {
					return b.Must(op.ConvTranspose2D(x, w, bias, tt.stride, tt.padding, 0))
				}
				return b.Must(op.Conv2D(x, w, bias, tt.stride, tt.padding))
			}, tt.want)
		}
	}
	expectError(t, func(b *graph.Builder) *graph.Node {
		return b.Must(op.Conv2D(zeros(b, 1, 1, 3, 9), zeros(b, 1, 1, 6, 2), nil, 1, 1))
	}, "filters of 6×2 exceed images of 3×9 with padding 1")
	expectError(t, func(b *graph.Builder) *graph.Node {
		return b.Must(op.ConvTranspose2D(zeros(b, 1, 1, 3, 3), zeros(b, 1, 1, 2, 2), nil, 2, 0, 2))
	}, "output padding 2")
	expectError(t, func(b *graph.Builder) *graph.Node {
		return b.Must(op.ConvTranspose2D(zeros(b, 1, 1, 1, 3), zeros(b, 1, 1, 2, 2), nil, 1, 1, 0))
	}, "give 0×2")
}

func TestPatches(t *testing.T) {
	// Two channels of 2×4 in squares of 2: channels, then rows, then columns.
	expect(t, []int{1, 2, 8}, []float64{0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15}, func(b *graph.Builder) *graph.Node {
		return b.Must(op.Patches(upTo(b, 1, 2, 2, 4), 2))
	})
	checkGradients(t, "patches of 2 ", graph.Normal(1), func(b *graph.Builder, x ...*graph.Node) *graph.Node {
		return b.Must(op.Patches(x[0], 2))
	}, []int{2, 3, 4, 6})
	expectError(t, func(b *graph.Builder) *graph.Node {
		return b.Must(op.Patches(zeros(b, 1, 3, 32, 30), 4))
	}, "patches of side 4 do not divide images of 32×30")
	expectError(t, func(b *graph.Builder) *graph.Node {
		return b.Must(op.Patches(zeros(b, 3, 32, 32), 4))
	}, "(3, 32, 32), want (B, C, H, W)")
}

func BenchmarkConv(b *testing.B) {
	for _, tt := range []struct {
		name            string
		x, w            []int
		stride, padding int
	}{
		{"3x3/width=64/side=32", []int{8, 64, 32, 32}, []int{64, 64, 3, 3}, 1, 1},
		{"4x4/width=128/side=32", []int{8, 64, 32, 32}, []int{128, 64, 4, 4}, 2, 1},
	} {
		b.Run("filter="+tt.name, func(b *testing.B) {
			s := graph.NewScope(graph.Seed(1))
			x, w := s.Param("x", graph.Normal(1), tt.x...), s.Param("w", graph.Normal(1), tt.w...)
			var out tensor.Shape
			p, err := graph.Compile(func(g *graph.Builder) {
				y := g.Must(op.Conv2D(g.Param(x), g.Param(w), nil, tt.stride, tt.padding))
				out = y.Shape()
				g.Minimize(g.Must(op.Mean(y, false)))
			}, nil)
			if err != nil {
				b.Fatal(err)
			}
			defer p.Close()
			for b.Loop() {
				if err := p.Run(nil); err != nil {
					b.Fatal(err)
				}
			}
			flops := 6 * float64(out.TotalSize()) * float64(tensor.Shape(tt.w[1:]).TotalSize()) // forward, dx, dw
			b.ReportMetric(flops*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}
