#!/usr/bin/env python3
"""Compares preprocessing with Pillow on random images.

    python3 testdata/preprocess_fuzz.py --count 2000

Images have 1 to 700 pixels a side and the modes L, LA, RGB, RGBA and P, the last
also with transparent colors and short palettes. Each goes through the recipe of
CLIPImageProcessor (shortest edge, bicubic, center crop) or of ViTImageProcessor
(straight to a square, bilinear) at a random size. Needs Pillow, numpy and go.
Exits with 1 if a pixel differs.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import warnings

import numpy as np
from PIL import Image

MODES = ["L", "LA", "RGB", "RGBA", "P"]
MOST = 8_000_000  # pixels of a resized image, before the crop


def picture(rng, mode, w, h):
    """Noise, or a smooth picture, whose overshoots bicubic filters must clip."""
    channels = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "P": 1}[mode]
    if rng.random() < 0.5:
        a = rng.integers(0, 256, (h, w, channels), dtype=np.uint8)
    else:
        y, x = np.mgrid[0:h, 0:w].astype(np.float64)
        waves = [np.sin(x * rng.uniform(0, 0.3) + y * rng.uniform(0, 0.3) + rng.uniform(0, 6)) for _ in range(channels)]
        a = np.clip(127.5 + 200 * np.stack(waves, axis=-1), 0, 255).astype(np.uint8)
    if mode != "P":
        return Image.fromarray(a if channels > 1 else a[..., 0], mode)
    colors = int(rng.integers(1, 257))
    im = Image.fromarray((a[..., 0].astype(int) * colors // 256).astype(np.uint8), "P")
    im.putpalette(rng.integers(0, 256, 3 * colors, dtype=np.uint8).tobytes())
    return im


def prepare(im, recipe, size):
    im = im.convert("RGB")
    if recipe == "vit":
        return np.asarray(im.resize((size, size), Image.BILINEAR))
    short, long = min(im.size), max(im.size)
    other = int(size * long / short)
    w, h = (size, other) if im.width <= im.height else (other, size)
    im = im.resize((w, h), Image.BICUBIC)
    left, top = (w - size) // 2, (h - size) // 2
    return np.asarray(im.crop((left, top, left + size, top + size)))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--count", type=int, default=2000)
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    rng = np.random.default_rng(a.seed)
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    warnings.filterwarnings("ignore", "Palette images with Transparency")
    differing = images = pixels = 0
    with tempfile.TemporaryDirectory() as folder:
        pixels_of = os.path.join(folder, "pixels")
        subprocess.run(["go", "build", "-o", pixels_of, "./testdata/pixels"], cwd=root, check=True)
        for first in range(0, a.count, 100):
            jobs, wants = [], []
            for i in range(first, min(first + 100, a.count)):
                w, h = (int(v) for v in rng.integers(1, 701, 2))
                if rng.random() < 0.1:
                    w, h = (w, 1) if rng.random() < 0.5 else (1, h)
                recipe = ("clip", "vit")[i // len(MODES) % 2]
                size = int(rng.integers(1, 257))
                while recipe == "clip" and size * size * max(w, h) // min(w, h) > MOST:
                    size //= 2
                im = picture(rng, MODES[i % len(MODES)], w, h)
                path = os.path.join(folder, f"{i}.png")
                more = {"transparency": int(rng.integers(0, 256))} if im.mode == "P" and rng.random() < 0.5 else {}
                im.save(path, compress_level=1, **more)
                jobs.append({"file": path, "recipe": recipe, "size": size})
                with Image.open(path) as stored:
                    wants.append(prepare(stored, recipe, size))
            done = subprocess.run([pixels_of], input="".join(json.dumps(j) + "\n" for j in jobs).encode(), stdout=subprocess.PIPE, check=True)
            got = np.frombuffer(done.stdout, np.uint8)
            assert len(got) == sum(w.size for w in wants), (len(got), sum(w.size for w in wants))
            at = 0
            for job, want in zip(jobs, wants):
                mine = got[at:at + want.size].reshape(want.shape)
                at += want.size
                bad = int((mine != want).any(axis=-1).sum())
                images, pixels, differing = images + 1, pixels + want.size // 3, differing + bad
                if bad:
                    with Image.open(job["file"]) as im:
                        print(f"{im.mode} {im.size} {job['recipe']} {job['size']}: {bad} pixels differ, by up to "
                              f"{np.abs(mine.astype(int) - want.astype(int)).max()}", file=sys.stderr)
                os.unlink(job["file"])
    print(f"{images} images, {pixels} pixels, {differing} differing (Pillow {Image.__version__})")
    sys.exit(differing > 0)


if __name__ == "__main__":
    main()
