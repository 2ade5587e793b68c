package kernel

// BiasActivate adds bias, repeated, to x and sets y = a(x). bias may be nil,
// and y may be x.
func BiasActivate[T Float](y, x, bias []T, n int, a Activation) {
	if n == 0 {
		return
	}
	Chunks(len(x)/n, (1+activationCost)*n, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			row := x[r*n : (r+1)*n]
			if bias != nil {
				for j, b := range bias[:n] {
					row[j] += b
				}
			}
			activate(y[r*n:(r+1)*n], row, a)
		}
	})
}
