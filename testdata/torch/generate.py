"""Writes files as PyTorch's torch.save does, without PyTorch.

    python3 testdata/torch/generate.py OUT

Needs Python 3 alone. torch.save pickles with protocol 2, writes a storage as a
persistent value, and puts everything uncompressed into a zip file. Classes and
functions here have the names of PyTorch's, so that the pickles are the same.
"""
import collections
import pickle
import struct
import sys
import types
import zipfile
import zlib

torch = types.ModuleType("torch")
utils = types.ModuleType("torch._utils")
script = types.ModuleType("__torch__.clip")
sys.modules.update({"__torch__": types.ModuleType("__torch__"), "torch": torch, "torch._utils": utils, "__torch__.clip": script})


def named(f, module, name):
    f.__module__, f.__name__, f.__qualname__ = module.__name__, name, name
    setattr(module, name, f)
    return f


for kind in ("Float", "Half", "BFloat16", "Long"):
    named(type(kind, (), {}), torch, kind + "Storage")
rebuild = named(lambda *a: None, utils, "_rebuild_tensor_v2")
parameter = named(lambda *a: None, utils, "_rebuild_parameter")
CLIP = named(type("CLIP", (), {}), script, "CLIP")
Visual = named(type("Visual", (), {}), script, "Visual")
Script = named(type("Script", (), {}), torch, "Script")  # not known to readers


def bfloat16(values):
    return b"".join(struct.pack("<f", v)[2:] for v in values)


PACK = {
    "Float": lambda v: struct.pack(f"<{len(v)}f", *v),
    "Half": lambda v: struct.pack(f"<{len(v)}e", *v),
    "BFloat16": bfloat16,
    "Long": lambda v: struct.pack(f"<{len(v)}q", *v),
}


class Storage:
    def __init__(self, kind, values):
        self.kind, self.values = kind, values


class Tensor:
    def __init__(self, storage, offset, shape, stride):
        self.args = storage, offset, shape, stride

    def __reduce_ex__(self, protocol):
        return rebuild, (*self.args, False, collections.OrderedDict())


class Parameter:
    def __init__(self, tensor):
        self.tensor = tensor

    def __reduce_ex__(self, protocol):
        return parameter, (self.tensor, True, collections.OrderedDict())


def tensor(kind, values, *shape):
    stride, n = [], 1
    for d in reversed(shape):
        stride.insert(0, n)
        n *= d
    return Tensor(Storage(kind, values), 0, tuple(shape), tuple(stride))


class Pickler(pickle._Pickler):
    def __init__(self, f):
        super().__init__(f, protocol=2)
        self.storages = []

    def persistent_id(self, v):
        if not isinstance(v, Storage):
            return None
        if v not in self.storages:
            self.storages.append(v)
        kind = getattr(torch, v.kind + "Storage")
        return "storage", kind, str(self.storages.index(v)), "cpu", len(v.values)


def save(path, v):
    class Buffer(bytearray):
        write = bytearray.extend

    out = Buffer()
    p = Pickler(out)
    p.dump(v)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as z:
        def put(name, data):  # with a fixed date: equal runs give equal bytes
            z.writestr(zipfile.ZipInfo("archive/" + name), bytes(data))

        put("data.pkl", out)
        put("byteorder", b"little")
        for i, s in enumerate(p.storages):
            put(f"data/{i}", PACK[s.kind](s.values))
        put("version", b"3\n")


def state():
    d = collections.OrderedDict()
    shared = Storage("Float", [float(i) for i in range(10)])
    d["float"] = tensor("Float", [0.5, -1, 2, 3, 4, 5.25], 2, 3)
    d["half"] = tensor("Half", [0.5, -65504.0, 0.0009765625], 3)
    d["bfloat"] = Parameter(tensor("BFloat16", [1.0, -0.5], 2, 1))
    d["count"] = tensor("Long", [7])
    d["empty"] = tensor("Float", [], 0, 4)
    d["part"] = Tensor(shared, 4, (2, 2), (3, 1))
    d["transposed"] = Tensor(shared, 0, (3, 2), (1, 3))
    d["tied"] = d["float"]
    d._metadata = collections.OrderedDict(x={"version": 1})
    return d


def number(name, i):
    """Element i of the named tensor: a multiple of 1/256, exact in half precision."""
    return ((zlib.crc32(name.encode()) + 37 * i) % 257 - 128) / 256


def clip(vision=(4, 6, 1), text=(6, 5, 2), image=4, patch=2, channels=2, context=5, vocabulary=9, width=3):
    """A tiny model under the names of openai/CLIP."""
    shapes = {"logit_scale": ()}

    def tower(prefix, d, hidden, layers):
        for i in range(layers):
            b = f"{prefix}transformer.resblocks.{i}."
            for norm in ("ln_1", "ln_2"):
                shapes[b + norm + ".weight"] = shapes[b + norm + ".bias"] = (d,)
            shapes[b + "attn.in_proj_weight"], shapes[b + "attn.in_proj_bias"] = (3 * d, d), (3 * d,)
            for name, o, n in (("attn.out_proj", d, d), ("mlp.c_fc", hidden, d), ("mlp.c_proj", d, hidden)):
                shapes[b + name + ".weight"], shapes[b + name + ".bias"] = (o, n), (o,)

    dv, dt = vision[0], text[0]
    shapes["visual.class_embedding"] = (dv,)
    shapes["visual.positional_embedding"] = (1 + (image // patch) ** 2, dv)
    shapes["visual.proj"] = (dv, width)
    shapes["visual.conv1.weight"] = (dv, channels, patch, patch)
    for norm, d in (("visual.ln_pre", dv), ("visual.ln_post", dv), ("ln_final", dt)):
        shapes[norm + ".weight"] = shapes[norm + ".bias"] = (d,)
    shapes["text_projection"] = (dt, width)
    shapes["positional_embedding"] = (context, dt)
    shapes["token_embedding.weight"] = (vocabulary, dt)
    tower("visual.", *vision)
    tower("", *text)
    d = {}
    for name, shape in shapes.items():
        n = 1
        for s in shape:
            n *= s
        kind = "Float" if "ln_" in name or "embedding" in name else "Half"
        d[name] = tensor(kind, [number(name, i) for i in range(n)], *shape)
    return d


def module(d):
    """The same as TorchScript writes it: objects of classes, sizes as tensors."""
    root = CLIP()
    for name, v in d.items():
        at, *path = root, *name.split(".")
        for part in path[:-1]:
            if part not in at.__dict__:
                at.__dict__[part] = Visual()
            at = at.__dict__[part]
        at.__dict__[path[-1]] = v
    root.training, root._is_full_backward_hook = False, None
    root.input_resolution, root.context_length, root.vocab_size = (tensor("Long", [n]) for n in (4, 5, 9))
    return root


if __name__ == "__main__":
    out = sys.argv[1]
    save(out + "/state.pt", state())
    prefixed = {"module." + k: v for k, v in clip().items()}
    save(out + "/trainer.pt", {"epoch": 3, "lr": 1e-3, "big": 1 << 40, "small": -300, "done": True,
                               "state_dict": prefixed, "betas": (0.9, 0.98), "optimizer": [1, {"step": 70000}]})
    save(out + "/script.pt", module(clip()))
    save(out + "/foreign.pt", {"script": Script()})
