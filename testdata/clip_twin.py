#!/usr/bin/env python3
"""Trains CLIP in PyTorch on the batches of Tessera, from the same weights.

    go build -o tessera ./cmd/tessera
    FLAGS="--data emoji:node_modules:twitter --preset small32 --seed 1"
    ./tessera clip train $FLAGS --out runs/emoji1
    ./tessera clip batches $FLAGS --out runs/twin1
    python3 testdata/clip_twin.py runs/twin1 --run runs/emoji1

Needs Python 3, torch (1.13 or later) and numpy. "clip batches" writes the model
that the run starts from, its batches and its test; here the model is written
once more in plain PyTorch, and trained by torch.optim.AdamW with the run's
settings. Of the run are compared: the losses of its steps, as in metrics.jsonl,
and its weights, measured on the same test by the same code as the twin's.
Several folders, each with its --run, are averaged.
"""
import argparse
import json
import math
import os
import struct
import time

import torch
from torch.nn import functional as F

from generate import read_safetensors

MAX_LOGIT_SCALE = math.log(100)
NOT_DECAYED = ("class_embedding", "position_embedding")  # besides vectors and scalars
ONLY = {"loss": "infonce", "lock": "", "ema": "0", "layer-decay": "1"}  # settings that have no twin here
MEASURES = ("R@1", "R@5", "R@10", "median rank")


def read_settings(path):
    """The metadata of a safetensors file: the flags of the run."""
    with open(path, "rb") as f:
        (length,) = struct.unpack("<Q", f.read(8))
        return json.loads(f.read(length))["__metadata__"]


class CLIP:
    """Hugging Face's CLIPModel, over a dictionary of its parameters."""

    def __init__(self, config, weights):
        self.config = config
        self.weights = {name: w.clone().requires_grad_() for name, w in weights.items()}

    def linear(self, name, x):
        return F.linear(x, self.weights[name + ".weight"], self.weights.get(name + ".bias"))

    def norm(self, name, x, eps):
        return F.layer_norm(x, x.shape[-1:], self.weights[name + ".weight"], self.weights[name + ".bias"], eps)

    def blocks(self, name, x, config, mask=None):
        """Pre-norm blocks on x (B, N, D)."""
        heads, eps = config["num_attention_heads"], config["layer_norm_eps"]
        act = {"quick_gelu": lambda x: x * torch.sigmoid(1.702 * x), "gelu": F.gelu}[config["hidden_act"]]
        batch, tokens, width = x.shape

        def split(part):  # (B, H, N, K)
            return part.view(batch, tokens, heads, width // heads).transpose(1, 2)

        for i in range(config["num_hidden_layers"]):
            at = f"{name}.encoder.layers.{i}."
            y = self.norm(at + "layer_norm1", x, eps)
            q, k, v = (split(self.linear(f"{at}self_attn.{p}_proj", y)) for p in "qkv")
            scores = q @ k.transpose(2, 3) / math.sqrt(width // heads)
            if mask is not None:
                scores = scores + mask
            y = (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, tokens, width)
            x = x + self.linear(at + "self_attn.out_proj", y)
            y = act(self.linear(at + "mlp.fc1", self.norm(at + "layer_norm2", x, eps)))
            x = x + self.linear(at + "mlp.fc2", y)
        return x

    def images(self, pixels):
        """Maps (B, C, S, S) to (B, E) of unit length."""
        config, at = self.config["vision_config"], "vision_model.embeddings."
        x = F.conv2d(pixels, self.weights[at + "patch_embedding.weight"], stride=config["patch_size"])
        x = x.flatten(2).transpose(1, 2)
        first = self.weights[at + "class_embedding"].expand(len(x), 1, -1)
        x = torch.cat([first, x], 1) + self.weights[at + "position_embedding.weight"]
        x = self.norm("vision_model.pre_layrnorm", x, config["layer_norm_eps"])
        x = self.blocks("vision_model", x, config)[:, 0]
        x = self.norm("vision_model.post_layernorm", x, config["layer_norm_eps"])
        return F.normalize(self.linear("visual_projection", x), dim=-1)

    def texts(self, ids, ends):
        """Maps (B, L), and the places of end tokens (B), to (B, E) of unit length."""
        config, at = self.config["text_config"], "text_model.embeddings."
        length = int(ends.max()) + 1  # tokens do not see those after them
        x = F.embedding(ids[:, :length], self.weights[at + "token_embedding.weight"])
        x = x + self.weights[at + "position_embedding.weight"][:length]
        mask = torch.full((length, length), -math.inf).triu(1)
        x = self.blocks("text_model", x, config, mask)[torch.arange(len(ids)), ends]
        x = self.norm("text_model.final_layer_norm", x, config["layer_norm_eps"])
        return F.normalize(self.linear("text_projection", x), dim=-1)

    def loss(self, pixels, ids, ends, labels):
        """Symmetric InfoNCE, in which all pairs of one label are positives."""
        logits = self.weights["logit_scale"].exp() * self.images(pixels) @ self.texts(ids, ends).T
        target = (labels[:, None] == labels[None, :]).float()
        target /= target.sum(1, keepdim=True)
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target.T)) / 2


def rate(step, steps, peak, warmup):
    """The learning rate of a step, counted from 0: linear up, half a cosine down."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2


def train(model, batches, settings):
    """Trains as "tessera clip train" does and returns the losses."""
    for name, value in ONLY.items():
        if settings[name] != value:
            raise SystemExit(f"--{name} is {settings[name]}, the twin knows only {value!r}")
    steps = len(batches["image"])
    peak, clip = float(settings["lr"]), float(settings["clip"])
    warmup = math.floor(float(settings["warmup"]) * steps + 0.5)
    decayed, rest = [], []
    for name, w in model.weights.items():
        decays = w.dim() >= 2 and not any(part in name for part in NOT_DECAYED)
        (decayed if decays else rest).append(w)
    groups = [{"params": decayed, "weight_decay": float(settings["weight-decay"])}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-6)
    losses = []
    for step in range(steps):
        image, text = batches["image"][step], batches["text"][step]
        loss = model.loss(batches["images"][image], batches["texts"][text], batches["ends"][text], batches["label"][step])
        optimizer.zero_grad()
        loss.backward()
        if clip > 0:
            torch.nn.utils.clip_grad_norm_(model.weights.values(), clip)
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps, peak, warmup)
        optimizer.step()
        with torch.no_grad():
            model.weights["logit_scale"].clamp_(max=MAX_LOGIT_SCALE)
        losses.append(loss.item())
    return losses


def summary(ranks):
    """Recall in percent at 1, 5 and 10, and the median rank."""
    return [100 * (ranks <= k).double().mean().item() for k in (1, 5, 10)] + [ranks.sort().values[len(ranks) // 2].item()]


@torch.no_grad()
def measure(model, test):
    """Ranks captions by image and images by caption.

    An answer is the best that belongs to the query. What else belongs to it
    does not count, and what is as close as the answer counts against it.
    """
    def rows(encode, *inputs):
        return torch.cat([encode(*part) for part in zip(*(x.split(256) for x in inputs))])

    cosines = rows(model.images, test["test.images"]) @ rows(model.texts, test["test.texts"], test["test.ends"]).T
    own = torch.zeros_like(cosines, dtype=torch.bool)
    own[test["test.image"], test["test.text"]] = True

    def ranks(cosines, own):
        best = cosines.masked_fill(~own, -math.inf).max(1, keepdim=True).values
        return ((cosines >= best) & ~own).sum(1) + 1

    return summary(ranks(cosines, own)), summary(ranks(cosines.T, own.T))


def compare_losses(losses, run):
    """Tells how far a run's losses, in its metrics.jsonl, are from the twin's."""
    with open(os.path.join(run, "metrics.jsonl")) as f:
        theirs = [json.loads(line)["loss"] for line in f]
    if len(theirs) != len(losses):
        raise SystemExit(f"{run} has {len(theirs)} steps, the batches {len(losses)}")
    for upto in (1, 10, 100, len(losses)):
        if upto <= len(losses):
            off = max(abs(a - b) for a, b in zip(losses[:upto], theirs[:upto]))
            print(f"  losses up to step {upto} differ by at most {off:.1e}")


def show(who, measured):
    for way, values in zip(("image to text", "text to image"), measured):
        line = ", ".join(f"{name} {v:.2f}" for name, v in zip(MEASURES, values))
        print(f"  {who:8} {way}: {line}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="+", help='what "clip batches" wrote')
    parser.add_argument("--run", action="append", default=[], help='what "clip train" wrote, for each folder')
    parser.add_argument("--threads", type=int, default=0, help="of PyTorch (default: its own choice)")
    args = parser.parse_args()
    if args.run and len(args.run) != len(args.folders):
        parser.error("give --run for every folder or for none")
    if args.threads:
        torch.set_num_threads(args.threads)
    results = {}
    for i, folder in enumerate(args.folders):
        path = os.path.join(folder, "batches.safetensors")
        batches, settings = read_safetensors(path), read_settings(path)
        with open(os.path.join(folder, "config.json")) as f:
            config = json.load(f)
        print(f"{folder}: {settings['data']}, seed {settings['seed']}", flush=True)
        model = CLIP(config, read_safetensors(os.path.join(folder, "model.safetensors")))
        start = time.monotonic()
        losses = train(model, batches, settings)
        print(f"  {len(losses)} steps in {time.monotonic() - start:.0f} s, last loss {losses[-1]:.4f}")
        models = {"PyTorch": model}
        if args.run:
            compare_losses(losses, args.run[i])
            models["Tessera"] = CLIP(config, read_safetensors(os.path.join(args.run[i], "model.safetensors")))
        for who, m in models.items():
            measured = measure(m, batches)
            show(who, measured)
            results.setdefault(who, []).append(measured)
    if len(args.folders) > 1:
        print(f"mean of {len(args.folders)}")
        means = {who: torch.tensor(rows).double().mean(0) for who, rows in results.items()}
        for who, mean in means.items():
            show(who, mean.tolist())
        if args.run:
            show("apart", (means["Tessera"] - means["PyTorch"]).abs().tolist())


if __name__ == "__main__":
    main()
