//go:build !amd64 || noasm

package simd

// Without assembly, Active is always None and none of these is called.

func unreachable() { panic("simd: no instructions") }

func Add(dst, x, y []float32)                                                          { unreachable() }
func Sub(dst, x, y []float32)                                                          { unreachable() }
func Mul(dst, x, y []float32)                                                          { unreachable() }
func Div(dst, x, y []float32)                                                          { unreachable() }
func AddScalar(dst, x []float32, c float32)                                            { unreachable() }
func Scale(dst, x []float32, c float32)                                                { unreachable() }
func Axpy(dst, x []float32, c float32)                                                 { unreachable() }
func Mix(dst, x []float32, c float32)                                                  { unreachable() }
func ExpScaled(dst, x []float32, shift, scale float32)                                 { unreachable() }
func Sum(x []float32) float64                                                          { unreachable(); return 0 }
func Dot(x, y []float32) float64                                                       { unreachable(); return 0 }
func SumExp(x []float32, shift float32) float64                                        { unreachable(); return 0 }
func Max(x []float32) float32                                                          { unreachable(); return 0 }
func AddRows(sum []float64, x []float32, rows, stride int)                             { unreachable() }
func Dropout(y, x []float32, state, drop uint64, scale float32)                        { unreachable() }
func (c *AdamW) Step(w, grad, m, s []float32)                                          { unreachable() }
func Softmax(y, x, mask []float32, n int, scale float32)                               { unreachable() }
func SoftmaxBackward(dx, y, dy []float32, n int, scale float32)                        { unreachable() }
func LogSoftmaxBackward(dx, y, dy []float32, sum float32)                              { unreachable() }
func LayerNorm(y, mean, rstd, x, weight, bias []float32, eps float64, n int)           { unreachable() }
func LayerNormBackward(dx, dweight, dbias, x, weight, mean, rstd, dy []float32, n int) { unreachable() }
func BiasActivate(y, d, x, bias []float32, a Activation)                               { unreachable() }
func ActivateBackward(dx, x, dy []float32, a Activation)                               { unreachable() }
func DotInt8(a, b []int8) int32                                                        { unreachable(); return 0 }
func DotInt8Rows(dst []int32, m, q []int8)                                             { unreachable() }
