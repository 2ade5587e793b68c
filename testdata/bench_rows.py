"""The rows of bench_torch.py: a Go benchmark and the same work in PyTorch."""
import ctypes
import os
import re
from dataclasses import dataclass
from typing import Callable

import torch
from torch.nn import functional as F

import bench_models as models

IN_CACHE, LARGE = 1 << 14, 1 << 24  # elements


@dataclass
class Row:
    name: str
    package: str  # of the Go benchmark
    bench: str
    torch: Callable | list  # prepares the work and returns a function that does it once; or variants
    work: float = 1  # of one call, in unit·s
    unit: str = "calls/s"
    metric: str = ""  # of the Go benchmark, in unit; "": work by ns/op
    seconds: float = 0.3  # of one measurement
    training: bool = False  # whether torch tracks gradients
    small: bool = False  # PyTorch may be faster on one thread
    peak: bool = False  # compare peak memory, not speed
    beside: str = "PyTorch"

    def __post_init__(self):
        if callable(self.torch):
            self.torch = [self.torch]


def rows():
    return [*products(), *batches(), *elementwise(), *normalized(), *optimizers(), *vision(), *clip(), *generation()]


def products():
    for m, k, n in (2048, 192, 576), (2048, 768, 3072), (394, 768, 768), (1, 768, 3072):
        for op in ("nn", "nt", "tn") if m > 1 else ("nn", "nt"):
            name, bench = f"{m}x{k}x{n}/{op}", f"BenchmarkMatMul/m={m}/k={k}/n={n}/op={op}"
            flops = 2e-9 * m * k * n
            yield Row("matmul/" + name, "graph/kernel", bench, product(op, m, k, n), flops, "GFLOP/s")
            if m > 1 and openblas():
                yield Row("openblas/" + name, "graph/kernel", bench, raw_product(op, m, k, n), flops, "GFLOP/s",
                          beside="OpenBLAS")
            if m == 1:  # which PyTorch users have to ask for
                yield Row(f"matvec/{k}x{n}/{op}", "graph/kernel", bench, vector_product(op, k, n), flops, "GFLOP/s")


def operands(op, m, k, n, *batch):
    """Makes A and B as stored, and views of them as multiplied."""
    a = torch.randn(*batch, *((k, m) if op[0] == "t" else (m, k)))
    b = torch.randn(*batch, *((n, k) if op[1] == "t" else (k, n)))
    return a, b, a.mT if op[0] == "t" else a, b.mT if op[1] == "t" else b


def product(op, m, k, n):
    def prepare():
        _, _, a, b = operands(op, m, k, n)
        c = torch.empty(m, n)
        return lambda: torch.mm(a, b, out=c)
    return prepare


def vector_product(op, k, n):
    def prepare():
        a, _, _, b = operands(op, 1, k, n)
        x, y, matrix = a[0], torch.empty(n), b.t()
        return lambda: torch.mv(matrix, x, out=y)
    return prepare


def raw_product(op, m, k, n):
    def prepare():
        a, b, _, _ = operands(op, m, k, n)
        c = torch.empty(m, n)
        row_major, plain, transposed = 101, 111, 112
        ta, tb = (transposed if t == "t" else plain for t in op)
        i, f, p = ctypes.c_int, ctypes.c_float, ctypes.c_void_p
        args = (i(row_major), i(ta), i(tb), i(m), i(n), i(k), f(1), p(a.data_ptr()), i(a.shape[1]),
                p(b.data_ptr()), i(b.shape[1]), f(0), p(c.data_ptr()), i(n))
        sgemm = openblas().cblas_sgemm
        keep = a, b, c
        return lambda: (sgemm(*args), keep)
    return prepare


def openblas():
    """The OpenBLAS that torch has loaded, or None."""
    with open("/proc/self/maps") as f:
        found = re.search(r"/\S*libopenblas\S*", f.read())
    if not found:
        return None
    library = ctypes.CDLL(found[0])
    library.openblas_get_config.restype = ctypes.c_char_p
    return library


def batches():
    for batch, m, k, n in (96, 65, 64, 65), (384, 197, 64, 197):
        for op in "nn", "nt":
            def prepare(batch=batch, op=op, m=m, k=k, n=n):
                _, _, a, b = operands(op, m, k, n, batch)
                c = torch.empty(batch, m, n)
                return lambda: torch.bmm(a, b, out=c)
            yield Row(f"bmm/{batch}x{m}x{k}x{n}/{op}", "graph/kernel",
                      f"BenchmarkBatchMatMul/batch={batch}/m={m}/k={k}/n={n}/op={op}",
                      prepare, 2e-9 * batch * m * k * n, "GFLOP/s")


def elementwise():
    aten = torch.ops.aten
    forward = [
        ("exp", lambda x, y: torch.exp(x, out=y)),
        ("tanh", lambda x, y: torch.tanh(x, out=y)),
        ("gelu", lambda x, y: aten.gelu.out(x, out=y)),
        ("gelu_tanh", lambda x, y: aten.gelu.out(x, approximate="tanh", out=y)),
    ]
    backward = [
        ("gelu", lambda x, dy, dx: aten.gelu_backward.grad_input(dy, x, grad_input=dx)),
        ("gelu_tanh", lambda x, dy, dx: aten.gelu_backward.grad_input(dy, x, approximate="tanh", grad_input=dx)),
    ]
    for n in IN_CACHE, LARGE:
        for name, f in forward:
            def prepare(f=f, n=n):
                x, y = torch.randn(n), torch.empty(n)
                return lambda: f(x, y)
            yield Row(f"{name}/{n}", "graph/kernel", f"BenchmarkVector/fn={name}/pass=forward/n={n}",
                      prepare, n / 1e9, "Gelements/s", small=n == IN_CACHE)
        for name, f in backward:
            def prepare(f=f, n=n):
                x, dy, dx = torch.randn(n), torch.randn(n), torch.empty(n)
                return lambda: f(x, dy, dx)
            yield Row(f"{name}/backward/{n}", "graph/kernel", f"BenchmarkVector/fn={name}/pass=backward/n={n}",
                      prepare, n / 1e9, "Gelements/s", small=n == IN_CACHE)


def normalized():
    for size in IN_CACHE, LARGE:
        def softmax(rows=size // 197):
            x, y = torch.randn(rows, 197), torch.empty(rows, 197)
            return lambda: torch.ops.aten._softmax.out(x, -1, False, out=y)

        def norm(rows=size // 768):
            x, w, b = torch.randn(rows, 768), torch.randn(768), torch.randn(768)
            return lambda: torch.native_layer_norm(x, [768], w, b, 1e-6)

        def norm_backward(rows=size // 768):
            x, w, b, dy = torch.randn(rows, 768), torch.randn(768), torch.randn(768), torch.randn(rows, 768)
            _, mean, rstd = torch.native_layer_norm(x, [768], w, b, 1e-6)
            f = torch.ops.aten.native_layer_norm_backward
            return lambda: f(dy, x, [768], mean, rstd, w, b, [True, True, True])

        for name, bench, n, prepare in [
            ("softmax", "fn=softmax/pass=forward", 197, softmax),
            ("layer_norm", "fn=layer_norm/pass=forward", 768, norm),
            ("layer_norm/backward", "fn=layer_norm/pass=backward", 768, norm_backward),
        ]:
            total = size // n * n
            yield Row(f"{name}/{size // n}x{n}", "graph/kernel", f"BenchmarkVector/{bench}/n={total}",
                      prepare, total / 1e9, "Gelements/s", small=size == IN_CACHE)


def optimizers():
    def prepare(ps, foreach):
        for p in ps:
            p.grad = torch.randn_like(p)
        optimizer = torch.optim.AdamW(ps, 1e-4, weight_decay=0.05, foreach=foreach)
        return optimizer.step

    def variants(parameters):
        return [lambda foreach=foreach: prepare(parameters(), foreach) for foreach in (False, True)]

    for n in IN_CACHE, LARGE:
        yield Row(f"adamw/{n}", "train", f"BenchmarkUpdate/params={n}",
                  variants(lambda n=n: [torch.nn.Parameter(torch.randn(n))]), n / 1e9, "Gelements/s",
                  training=True, small=n == IN_CACHE)
    for name, size in ("tiny192", (32, 4, 192, 4, 3, 10)), ("s16", (224, 16, 384, 12, 6, 10)):
        yield Row(f"adamw/vit-{name}", "train", f"BenchmarkUpdate/params={name}",
                  variants(lambda size=size: list(models.ViT(*size).parameters())),
                  unit="steps/s", training=True, small=True)


def inference(model, *inputs):
    model.eval()
    return lambda: model(*inputs)


def vision():
    step = Row("vit-train/tiny192/batch32", "train", "BenchmarkStep/model=tiny192/batch=32", models.vit_trainer,
               unit="steps/s", seconds=1, training=True)
    yield step
    yield Row("memory/vit-train", step.package, step.bench, step.torch, training=True, peak=True)
    yield Row("vit/tiny192/batch32", "vit", "BenchmarkForward/model=tiny192/batch=32",
              lambda: inference(models.ViT(32, 4, 192, 4, 3, 10), torch.randn(32, 3, 32, 32)),
              32, "images/s", seconds=1)
    for n in 1, 4:
        yield Row(f"vit/b16/batch{n}", "vit", f"BenchmarkForward/model=b16/batch={n}",
                  lambda n=n: inference(models.ViT(224, 16, 768, 12, 12, 1000), torch.randn(n, 3, 224, 224)),
                  n, "images/s", seconds=1)
    yield Row("vqvae-train/64px/batch32", "vqvae", "BenchmarkTrainStep/model=small64/batch=32",
              [lambda f=f: models.vqvae_trainer(f) for f in (torch.contiguous_format, torch.channels_last)],
              unit="steps/s", seconds=1, training=True)


def clip():
    for n in 1, 8:
        yield Row(f"clip-image/b32/batch{n}", "clip", f"BenchmarkImage/model=b32/batch={n}",
                  lambda n=n: inference(models.CLIPImage(), torch.randn(n, 3, 224, 224)), n, "images/s", seconds=1)
    for n in 1, 8:
        yield Row(f"clip-text/b32/batch{n}", "clip", f"BenchmarkText/model=b32/batch={n}/tokens=77",
                  lambda n=n: inference(models.CLIPText(), torch.randint(0, 49408, (n, 77))), n, "texts/s", seconds=1)


def generation():
    for n in 64, 320:
        def prepare(n=n):
            model = models.GPT2().eval()
            return lambda: model.generate(n)
        yield Row(f"decode/gpt2-small/{n}", "flamingo/gpt2", f"BenchmarkDecode/model=small/context={n}", prepare,
                  n, "tokens/s", metric="tokens/s", seconds=1)
    for n in 64, 320:
        def prepare(n=n):
            model, patches = models.Flamingo().eval(), torch.randn(1, 196, 768)
            return lambda: model.generate(n, patches)
        yield Row(f"flamingo/decode/{n}", "flamingo", f"BenchmarkDecode/model=small/context={n}", prepare,
                  n, "tokens/s", metric="tokens/s", seconds=1)
    for n in 1, 8:
        def prepare(n=n):
            model, text = models.DALLE().eval(), torch.arange(1, 9).repeat(n, 1)
            return lambda: model.generate(text, 100)
        yield Row(f"dalle/generate/256/batch{n}", "dalle", f"BenchmarkGenerate/cached/batch={n}", prepare,
                  256 * n, "tokens/s", metric="tokens/s", seconds=1, small=True)
