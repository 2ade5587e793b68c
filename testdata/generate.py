"""Writes a small Vision Transformer and what PyTorch computes with it.

    python3 testdata/generate.py OUT

Needs Python 3, torch (1.13 or later) and numpy; runs for a few seconds on a
CPU. The model is written here in plain PyTorch, so that it is independent of
the Go code, and computes in float32. OUT/vit then holds

    config.json               keys of Hugging Face's ViTForImageClassification
    preprocessor_config.json  keys of its ViTImageProcessor
    model.safetensors         weights, under its names
    golden.safetensors        pixel_values (B, C, S, S), labels (B), logits
                              (B, classes), loss (mean cross-entropy), and
                              grad.<parameter> for every parameter
    adamw.json                settings of AdamW; loss and gradient norm of each
                              step, on the batch of golden.safetensors
    after_adamw.safetensors   the weights after those steps

for "tessera verify OUT/vit". Weights are random; biases, norms, the class
token and position embeddings are jittered, so that one left out shows. AdamW
decays every parameter, to keep the fixture free of a rule of exceptions.

The gradient of a key's bias is zero but for rounding, since softmax ignores
what is added to a whole row: compare it with an absolute tolerance, and expect
AdamW to carry that rounding into the bias itself.

The same seed, torch version and machine give the same bytes.
"""
import argparse
import json
import os
import struct

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

CLASSES = 10
CONFIG = {
    "architectures": ["ViTForImageClassification"],
    "attention_probs_dropout_prob": 0.0,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.0,
    "hidden_size": 48,
    "id2label": {str(i): f"label_{i}" for i in range(CLASSES)},
    "image_size": 32,
    "initializer_range": 0.02,
    "intermediate_size": 192,
    "label2id": {f"label_{i}": i for i in range(CLASSES)},
    "layer_norm_eps": 1e-06,
    "model_type": "vit",
    "num_attention_heads": 3,
    "num_channels": 3,
    "num_hidden_layers": 2,
    "patch_size": 8,
    "qkv_bias": True,
}
PREPROCESSOR = {
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_processor_type": "ViTImageProcessor",
    "image_std": [0.5, 0.5, 0.5],
    "resample": 2,
    "rescale_factor": 1 / 255,
    "size": {"height": CONFIG["image_size"], "width": CONFIG["image_size"]},
}
ADAMW = {"lr": 1e-3, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.05}
CLIP_NORM = 1.0
STEPS = 5
BATCH = 4

DTYPES = {np.dtype("<f4"): "F32", np.dtype("<i8"): "I64"}


def write_safetensors(path, tensors):
    """Writes the tensors in the order of their names, eight-byte aligned."""
    header, data, end = {}, [], 0
    for name in sorted(tensors):
        array = tensors[name].detach().cpu().numpy()
        raw = array.tobytes()  # row-major
        header[name] = {
            "dtype": DTYPES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [end, end + len(raw)],
        }
        data.append(raw)
        end += len(raw)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)))
        f.write(text)
        f.writelines(data)


def read_safetensors(path):
    with open(path, "rb") as f:
        (length,) = struct.unpack("<Q", f.read(8))
        header = json.loads(f.read(length))
        data = f.read()
    header.pop("__metadata__", None)
    dtypes = {name: dtype for dtype, name in DTYPES.items()}
    tensors = {}
    for name, t in header.items():
        start, end = t["data_offsets"]
        array = np.frombuffer(data[start:end], dtypes[t["dtype"]])
        tensors[name] = torch.from_numpy(array.reshape(t["shape"]).copy())
    return tensors


def write_json(path, value):
    with open(path, "w") as f:
        json.dump(value, f, indent=1, sort_keys=True)
        f.write("\n")


class ViT(nn.Module):
    """A pre-norm Vision Transformer (arXiv:2010.11929) over named tensors."""

    def __init__(self, config, generator):
        super().__init__()
        self.config = config
        self.weights = nn.ParameterDict()  # its keys may not hold dots
        D, M = config["hidden_size"], config["intermediate_size"]
        C, P = config["num_channels"], config["patch_size"]
        tokens = 1 + (config["image_size"] // P) ** 2

        def add(name, *shape, mean=0.0, std=0.02):
            value = mean + std * torch.randn(*shape, generator=generator)
            self.weights[name.replace(".", "/")] = nn.Parameter(value)

        def linear(name, inputs, outputs):
            add(name + ".weight", outputs, inputs, std=inputs**-0.5)
            add(name + ".bias", outputs)

        def norm(name):
            add(name + ".weight", D, mean=1.0, std=0.1)
            add(name + ".bias", D, std=0.1)

        patches = "vit.embeddings.patch_embeddings.projection"
        add("vit.embeddings.cls_token", 1, 1, D, std=0.5)
        add("vit.embeddings.position_embeddings", 1, tokens, D, std=0.5)
        add(patches + ".weight", D, C, P, P, std=(C * P * P) ** -0.5)
        add(patches + ".bias", D)
        for i in range(config["num_hidden_layers"]):
            layer = f"vit.encoder.layer.{i}"
            norm(layer + ".layernorm_before")
            for part in "query", "key", "value":
                linear(f"{layer}.attention.attention.{part}", D, D)
            linear(layer + ".attention.output.dense", D, D)
            norm(layer + ".layernorm_after")
            linear(layer + ".intermediate.dense", D, M)
            linear(layer + ".output.dense", M, D)
        norm("vit.layernorm")
        linear("classifier", D, len(config["id2label"]))

    def named(self):
        return {k.replace("/", "."): v for k, v in self.weights.items()}

    def weight(self, name):
        return self.weights[name.replace(".", "/")]

    def linear(self, name, x):
        return F.linear(x, self.weight(name + ".weight"), self.weight(name + ".bias"))

    def norm(self, name, x):
        return F.layer_norm(
            x,
            x.shape[-1:],
            self.weight(name + ".weight"),
            self.weight(name + ".bias"),
            self.config["layer_norm_eps"],
        )

    def attention(self, name, x):
        B, N, D = x.shape
        H = self.config["num_attention_heads"]

        def heads(part):  # (B, H, N, K)
            y = self.linear(f"{name}.attention.{part}", x)
            return y.view(B, N, H, D // H).transpose(1, 2)

        q, k, v = heads("query"), heads("key"), heads("value")
        scores = q @ k.transpose(-1, -2) * (D // H) ** -0.5  # (B, H, N, N)
        y = scores.softmax(-1) @ v  # (B, H, N, K)
        return self.linear(name + ".output.dense", y.transpose(1, 2).reshape(B, N, D))

    def forward(self, images):
        """Maps images (B, C, S, S) to logits (B, classes)."""
        patches = "vit.embeddings.patch_embeddings.projection"
        x = F.conv2d(
            images,
            self.weight(patches + ".weight"),
            self.weight(patches + ".bias"),
            stride=self.config["patch_size"],
        )
        x = x.flatten(2).transpose(1, 2)  # (B, N, D)
        cls = self.weight("vit.embeddings.cls_token").expand(len(x), -1, -1)
        x = torch.cat([cls, x], 1)  # (B, 1+N, D)
        x = x + self.weight("vit.embeddings.position_embeddings")
        for i in range(self.config["num_hidden_layers"]):
            layer = f"vit.encoder.layer.{i}"
            x = x + self.attention(layer + ".attention", self.norm(layer + ".layernorm_before", x))
            h = self.linear(layer + ".intermediate.dense", self.norm(layer + ".layernorm_after", x))
            x = x + self.linear(layer + ".output.dense", F.gelu(h))
        return self.linear("classifier", self.norm("vit.layernorm", x)[:, 0])


def golden(model, images, labels):
    model.zero_grad()
    logits = model(images)
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    tensors = {"pixel_values": images, "labels": labels, "logits": logits, "loss": loss}
    for name, p in model.named().items():
        tensors["grad." + name] = p.grad.clone()
    return tensors


def adamw(model, images, labels):
    """Trains the model in place; returns what adamw.json says."""
    optimizer = torch.optim.AdamW(model.parameters(), **ADAMW)
    losses, norms = [], []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        norms.append(nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM).item())
        losses.append(loss.item())
        optimizer.step()
    return {
        **ADAMW,
        "batch": "golden.safetensors",
        "clip_norm": CLIP_NORM,
        "decay_applies_to": "all parameters",
        "grad_norms_before_clip": norms,
        "losses": losses,
        "steps": STEPS,
    }


def check(folder):
    """Reads the files back and compares them with a second computation."""

    def same(what, got, want):
        scale = max(want.abs().max().item(), 1e-3)  # some gradients are all rounding
        if got.shape != want.shape or not torch.allclose(got, want, rtol=0, atol=1e-5 * scale):
            raise SystemExit(f"{folder}: {what} differs when computed again")

    weights = read_safetensors(os.path.join(folder, "model.safetensors"))
    after = read_safetensors(os.path.join(folder, "after_adamw.safetensors"))
    want = read_safetensors(os.path.join(folder, "golden.safetensors"))
    with open(os.path.join(folder, "adamw.json")) as f:
        record = json.load(f)

    model = ViT(CONFIG, torch.Generator())
    if set(weights) != set(model.named()) or set(after) != set(weights):
        raise SystemExit(f"{folder}: the files name other parameters than the model")
    with torch.no_grad():
        for name, p in model.named().items():
            p.copy_(weights[name])
    got = golden(model, want["pixel_values"], want["labels"])
    if set(got) != set(want):
        raise SystemExit(f"{folder}: golden.safetensors names other tensors")
    for name, t in want.items():
        same(name, got[name].detach(), t)
    again = adamw(model, want["pixel_values"], want["labels"])
    for key in "losses", "grad_norms_before_clip":
        same(key, torch.tensor(again[key]), torch.tensor(record[key]))
    for name, p in model.named().items():
        same(name + " after AdamW", p.detach(), after[name])
    same("the first loss", torch.tensor(record["losses"][0]), want["loss"])
    if not record["losses"][-1] < record["losses"][0]:
        raise SystemExit(f"{folder}: the loss does not fall")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", help="folder to write to")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    folder = os.path.join(args.out, "vit")
    os.makedirs(folder, exist_ok=True)
    torch.set_num_threads(1)  # sums in one order
    generator = torch.Generator().manual_seed(args.seed)
    model = ViT(CONFIG, generator)
    S, C = CONFIG["image_size"], CONFIG["num_channels"]
    images = torch.randn(BATCH, C, S, S, generator=generator)
    labels = torch.randint(CLASSES, (BATCH,), generator=generator)

    write_json(os.path.join(folder, "config.json"), CONFIG)
    write_json(os.path.join(folder, "preprocessor_config.json"), PREPROCESSOR)
    write_safetensors(os.path.join(folder, "model.safetensors"), model.named())
    tensors = golden(model, images, labels)
    write_safetensors(os.path.join(folder, "golden.safetensors"), tensors)
    record = adamw(model, images, labels)
    write_json(os.path.join(folder, "adamw.json"), record)
    write_safetensors(os.path.join(folder, "after_adamw.safetensors"), model.named())
    check(folder)
    losses = " ".join(f"{loss:.4f}" for loss in record["losses"])
    print(f"{folder}: wrote and checked; torch {torch.__version__}; losses {losses}")


if __name__ == "__main__":
    main()
