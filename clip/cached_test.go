package clip

import (
	"math"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"tessera/graph"
)

// gradients are those of the whole batch at once.
func gradients(t *testing.T, o Objective, in graph.Values, n int) (float64, []graph.Grad) {
	t.Helper()
	p, err := graph.Compile(func(b *graph.Builder) {
		loss := o.Loss(b, n)
		b.Output("loss", loss)
		b.Minimize(loss)
	}, &graph.Options{Training: true, Dtype: o.LogitScale.Value.Dtype()})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(in); err != nil {
		t.Fatal(err)
	}
	return p.Scalar("loss"), p.Grads()
}

// wide has more to add up than tiny.
func wide() Config {
	c := tiny()
	c.ProjectionDim, c.LogitScale = 16, 2.6592
	c.Vision.HiddenSize, c.Vision.Intermediate, c.Text.HiddenSize, c.Text.Intermediate = 16, 32, 12, 24
	return c
}

// TestCachedIsExact compares chunks with the whole batch. In single precision
// both differ from the truth by rounding, and are no further apart.
func TestCachedIsExact(t *testing.T) {
	for _, tt := range []struct {
		name   string
		dtype  tensor.Dtype
		chunk  int
		labels bool
		bias   bool
		lock   string
		tol    float64
	}{
		{"InfoNCE", tensor.Float64, 4, false, false, "", 1e-12},
		{"one chunk", tensor.Float64, 24, false, false, "", 1e-12},
		{"one pair a chunk", tensor.Float64, 1, false, false, "", 1e-12},
		{"shared labels", tensor.Float64, 6, true, false, "", 1e-12},
		{"sigmoid", tensor.Float64, 8, false, true, "", 1e-12},
		{"sigmoid with shared labels", tensor.Float64, 3, true, true, "", 1e-12},
		{"locked images", tensor.Float64, 4, false, false, "vision_model.", 1e-12},
		{"locked texts", tensor.Float64, 4, false, false, "text_", 1e-12},
		{"locked scale", tensor.Float64, 4, false, false, "logit_", 1e-12},
		{"InfoNCE in single precision", tensor.Float32, 4, false, false, "", 1e-6},
		{"sigmoid in single precision", tensor.Float32, 4, false, true, "", 1e-6},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const n = 24
			c := wide()
			if tt.bias {
				bias := -2.0
				c.LogitBias = &bias
			}
			m, err := New(c, graph.Seed(3))
			if err != nil {
				t.Fatal(err)
			}
			for p := range m.Params().All() {
				p.Frozen = tt.lock != "" && strings.HasPrefix(p.Name, tt.lock)
			}
			if err := m.Params().Convert(tt.dtype); err != nil {
				t.Fatal(err)
			}
			o := Objective{Model: m, Labels: tt.labels}
			in := pairs(t, c, n)
			if tt.labels {
				in["label"] = numbered(n)
				for i := range in["label"].Float32s() {
					in["label"].Float32s()[i] = float32(i * i % 7)
				}
			}
			cached, err := NewCached(o, n, tt.chunk, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer cached.Close()
			if _, err := cached.Run(in); err != nil {
				t.Fatal(err)
			}
			loss, err := cached.Run(in) // the second run starts afresh
			if err != nil {
				t.Fatal(err)
			}
			want, grads := gradients(t, o, in, n)
			if math.Abs(loss-want) > tt.tol*want {
				t.Errorf("loss %.15g, want %.15g", loss, want)
			}
			got := map[*graph.Param][]float64{}
			for _, g := range cached.Grads() {
				got[g.Param] = make([]float64, g.Value.Shape().TotalSize())
				read(got[g.Param], g.Value)
			}
			if len(got) != len(grads) {
				t.Errorf("%d gradients, want %d", len(got), len(grads))
			}
			// Relative to the largest of all entries: that of keys' biases is
			// nothing but rounding.
			largest, worst := 0.0, 0.0
			for _, g := range grads {
				w := make([]float64, g.Value.Shape().TotalSize())
				read(w, g.Value)
				if got[g.Param] == nil {
					t.Fatalf("no gradient of %s", g.Param.Name)
				}
				for i := range w {
					largest = max(largest, math.Abs(w[i]))
					worst = max(worst, math.Abs(w[i]-got[g.Param][i]))
				}
			}
			if !(worst <= tt.tol*largest) {
				t.Errorf("gradients are up to %.2e of the largest apart, want %g", worst/largest, tt.tol)
			}
		})
	}
}

// TestCachedDropout wants the same dropout in both passes over a chunk: then
// the gradient is that of the loss, by differences.
func TestCachedDropout(t *testing.T) {
	c := tiny()
	c.Vision.AttentionDropout, c.Text.AttentionDropout = 0.3, 0.3
	m := newModel(t, c)
	if err := m.Params().Convert(tensor.Float64); err != nil {
		t.Fatal(err)
	}
	in := pairs(t, c, 4)
	cached, err := NewCached(Objective{Model: m}, 4, 2, 9)
	if err != nil {
		t.Fatal(err)
	}
	defer cached.Close()
	loss := func(step uint64) float64 {
		cached.SetStep(step)
		v, err := cached.Run(in)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if loss(1) == loss(2) {
		t.Error("dropout is the same in two steps")
	}
	const h = 1e-5
	for _, name := range []string{"vision_model.encoder.layers.0.self_attn.q_proj.weight", "text_model.encoder.layers.1.self_attn.v_proj.weight"} {
		p := m.Params().Get(name)
		w := p.Value.Float64s()
		at := w[3]
		w[3] = at + h
		up := loss(2)
		w[3] = at - h
		down := loss(2)
		w[3] = at
		loss(2)
		for _, g := range cached.Grads() {
			if g.Param != p {
				continue
			}
			got, want := g.Value.Float64s()[3], (up-down)/(2*h)
			if math.Abs(got-want) > 1e-8 {
				t.Errorf("%s: gradient %g, difference %g", name, got, want)
			}
		}
	}
}

func TestCachedMemoryIsOneChunk(t *testing.T) {
	m := newModel(t, wide())
	bytes := func(n, chunk int) int64 {
		c, err := NewCached(Objective{Model: m}, n, chunk, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.Usage().Buffers
	}
	one, whole, many := bytes(16, 16), bytes(512, 512), bytes(512, 16)
	if many > whole/8 || many > 2*one {
		t.Errorf("512 pairs take %d bytes in chunks of 16, %d at once, and 16 pairs take %d", many, whole, one)
	}
}

func TestCachedErrors(t *testing.T) {
	m := newModel(t, tiny())
	for _, chunk := range []int{0, -1, 3, 8} {
		if _, err := NewCached(Objective{Model: m}, 4, chunk, 0); err == nil || !strings.Contains(err.Error(), "chunks that divide it") {
			t.Errorf("chunks of %d: error %v", chunk, err)
		}
	}
	c, err := NewCached(Objective{Model: m}, 4, 2, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, tt := range []struct {
		name string
		edit func(in graph.Values)
		want string
	}{
		{"labels nobody wants", func(in graph.Values) { in["label"] = numbered(4) }, "labels are given"},
		{"another size", func(in graph.Values) { in["ends"] = numbered(3) }, `input "ends" has shape (3)`},
		{"a missing input", func(in graph.Values) { delete(in, "ids") }, `"ids"`},
		{"an input of another name", func(in graph.Values) { in["idz"] = numbered(4) }, `"idz"`},
	} {
		in := pairs(t, tiny(), 4)
		tt.edit(in)
		if _, err := c.Run(in); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
}
