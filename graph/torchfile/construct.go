package torchfile

import (
	"strings"

	"github.com/pkg/errors"

	"tessera/graph/safetensors"
)

// global is a class or function by its full name. It is never called.
type global string

// storage is a run of elements in an entry of its own.
type storage struct {
	dtype safetensors.Dtype
	key   string // of the entry
	size  int    // elements
}

// tensor is a view of a storage.
type tensor struct {
	storage       storage
	offset        int
	shape, stride []int
}

// The globals that may be called, beside TorchScript's.
const (
	orderedDict        = global("collections.OrderedDict")
	rebuildTensor      = global("torch._utils._rebuild_tensor_v2")
	rebuildParameter   = global("torch._utils._rebuild_parameter")
	parameterWithState = global("torch._utils._rebuild_parameter_with_state")
	torchSize          = global("torch.Size")
)

// storages gives the element types by PyTorch's classes.
var storages = map[global]safetensors.Dtype{
	"torch.FloatStorage":    safetensors.F32,
	"torch.HalfStorage":     safetensors.F16,
	"torch.BFloat16Storage": safetensors.BF16,
	"torch.DoubleStorage":   safetensors.F64,
	"torch.LongStorage":     safetensors.I64,
	"torch.IntStorage":      safetensors.I32,
	"torch.ShortStorage":    safetensors.I16,
	"torch.CharStorage":     safetensors.I8,
	"torch.ByteStorage":     safetensors.U8,
	"torch.BoolStorage":     safetensors.BOOL,
}

// script tells TorchScript's classes, which are written with the file.
func (g global) script() bool { return strings.HasPrefix(string(g), "__torch__.") }

// wrapper tells functions by which TorchScript states the type of a value.
func (g global) wrapper() bool { return strings.HasPrefix(string(g), "torch.jit._pickle.") }

func (g global) known() bool {
	switch g {
	case orderedDict, rebuildTensor, rebuildParameter, parameterWithState, torchSize:
		return true
	}
	_, ok := storages[g]
	return ok || g.script() || g.wrapper()
}

// construct executes the instructions that name, call and fill classes.
func (m *machine) construct(code byte) error {
	switch code {
	case opGlobal:
		module, err := m.line()
		if err != nil {
			return err
		}
		name, err := m.line()
		if err != nil {
			return err
		}
		return m.name(module, name)
	case opStackGlobal:
		vs, err := m.items(2)
		if err != nil {
			return err
		}
		module, ok := vs[0].(string)
		name, also := vs[1].(string)
		if !ok || !also {
			return errors.New("a global without a name")
		}
		return m.name(module, name)
	case opBinPersID:
		id, err := m.pop()
		if err != nil {
			return err
		}
		s, err := newStorage(id)
		m.push(s)
		return err
	case opReduce, opNewObj:
		vs, err := m.items(2)
		if err != nil {
			return err
		}
		g, ok := vs[0].(global)
		args, also := vs[1].(tuple)
		if !ok || !also {
			return errors.Errorf("a call of %T with %T, want a global with a tuple", vs[0], vs[1])
		}
		v, err := call(g, args)
		m.push(v)
		return err
	case opBuild:
		return m.build()
	}
	return errors.Errorf("instruction %#02x is not used by dictionaries of tensors", code)
}

func (m *machine) name(module, name string) error {
	g := global(module + "." + name)
	if !g.known() {
		return errors.Errorf("%q is no part of a dictionary of tensors; save the model's state_dict() alone", string(g))
	}
	m.push(g)
	return nil
}

// call makes what calling g would.
func call(g global, args tuple) (any, error) {
	switch {
	case g == orderedDict && len(args) == 0:
		return &dict{}, nil
	case g == rebuildTensor:
		return newTensor(args)
	case g == rebuildParameter || g == parameterWithState:
		if len(args) > 0 {
			if t, ok := args[0].(*tensor); ok {
				return t, nil
			}
		}
	case g == torchSize && len(args) == 1:
		return args[0], nil
	case g.script() && len(args) == 0:
		return &object{&dict{}}, nil
	case g.wrapper():
		return opaque{}, nil
	}
	return nil, errors.Errorf("%q is called with %d arguments of other kinds than usual", string(g), len(args))
}

// build gives an object its attributes. Those of a dictionary tell nothing of
// its tensors.
func (m *machine) build() error {
	state, err := m.pop()
	if err != nil {
		return err
	}
	to, err := m.top()
	if err != nil {
		return err
	}
	switch to := to.(type) {
	case *dict, *tensor:
		return nil
	case *object:
		if d, ok := state.(*dict); ok {
			to.attributes = d
			return nil
		}
	}
	return errors.Errorf("a %T is given a state of %T", to, state)
}

// newStorage reads ("storage", class, key, device, size).
func newStorage(id any) (storage, error) {
	t, _ := id.(tuple)
	if len(t) == 5 && t[0] == "storage" {
		class, _ := t[1].(global)
		dtype, ok := storages[class]
		key, also := t[2].(string)
		size, and := t[4].(int)
		if ok && also && and && size >= 0 {
			return storage{dtype, key, size}, nil
		}
	}
	return storage{}, errors.Errorf("a persistent value that is no storage: %.80q", sprint(id))
}

// newTensor reads (storage, offset, shape, stride, …).
func newTensor(args tuple) (*tensor, error) {
	if len(args) < 4 {
		return nil, errors.Errorf("a tensor of %d arguments", len(args))
	}
	s, ok := args[0].(storage)
	offset, also := args[1].(int)
	shape, err := ints(args[2])
	if err != nil {
		return nil, err
	}
	stride, err := ints(args[3])
	if err != nil {
		return nil, err
	}
	if !ok || !also || offset < 0 || len(stride) != len(shape) {
		return nil, errors.New("a tensor whose arguments are not storage, offset, shape and stride")
	}
	return &tensor{s, offset, shape, stride}, nil
}

// ints reads a tuple of numbers that are not negative.
func ints(v any) ([]int, error) {
	t, ok := v.(tuple)
	if !ok {
		return nil, errors.Errorf("a %T, want a tuple of numbers", v)
	}
	out := make([]int, len(t))
	for i, v := range t {
		n, ok := v.(int)
		if !ok || n < 0 {
			return nil, errors.Errorf("%.40q in a shape", sprint(v))
		}
		out[i] = n
	}
	return out, nil
}
