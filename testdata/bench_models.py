"""The models that bench_torch.py measures, in plain PyTorch.

Written the usual fast way: one product for queries, keys and values, exact
GELU unless said otherwise, no dropout. Weights are random; only shapes matter.
"""
import math

import torch
from torch import nn
from torch.nn import functional as F


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x, mask=None, cache=None, at=0):
        B, N, D = x.shape
        q, k, v = self.qkv(x).view(B, N, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        if cache is not None:  # (2, B, H, capacity, K)
            cache[0, :, :, at:at + N] = k
            cache[1, :, :, at:at + N] = v
            k, v = cache[0, :, :, :at + N], cache[1, :, :, :at + N]
        scores = (q * (D // self.heads) ** -0.5) @ k.transpose(-2, -1)
        if mask is not None:
            scores = scores + mask
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(B, N, D))


class Block(nn.Module):
    """A pre-norm block with an MLP four times as wide."""

    def __init__(self, width, heads, act, eps):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps), nn.LayerNorm(width, eps)
        self.attn = Attention(width, heads)
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.act = act

    def forward(self, x, mask=None, cache=None, at=0):
        x = x + self.attn(self.norm1(x), mask, cache, at)
        return x + self.fc2(self.act(self.fc1(self.norm2(x))))


def quick_gelu(x):
    return x * torch.sigmoid(1.702 * x)


def gelu_tanh(x):
    return F.gelu(x, approximate="tanh")


def causal(n):
    return torch.full((n, n), -math.inf).triu(1)


class ViT(nn.Module):
    def __init__(self, image, patch, width, depth, heads, classes):
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, 1 + (image // patch) ** 2, width))
        self.blocks = nn.ModuleList(Block(width, heads, F.gelu, 1e-6) for _ in range(depth))
        self.norm = nn.LayerNorm(width, 1e-6)
        self.head = nn.Linear(width, classes)

    def forward(self, images):
        x = self.patches(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


class CLIPImage(nn.Module):
    """The image tower of CLIP B/32 (arXiv:2103.00020)."""

    def __init__(self, width=768, patch=32, tokens=50, depth=12, heads=12, embed=512):
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch, bias=False)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, tokens, width))
        self.pre, self.post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.blocks = nn.ModuleList(Block(width, heads, quick_gelu, 1e-5) for _ in range(depth))
        self.project = nn.Linear(width, embed, bias=False)

    def forward(self, images):
        x = self.patches(images).flatten(2).transpose(1, 2)
        x = self.pre(torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.positions)
        for block in self.blocks:
            x = block(x)
        return F.normalize(self.project(self.post(x[:, 0])), dim=-1)


class CLIPText(nn.Module):
    """The text tower of CLIP B/32, pooled at the greatest id."""

    def __init__(self, vocabulary=49408, tokens=77, width=512, depth=12, heads=8, embed=512):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(torch.randn(tokens, width))
        self.register_buffer("mask", causal(tokens))
        self.blocks = nn.ModuleList(Block(width, heads, quick_gelu, 1e-5) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, embed, bias=False)

    def forward(self, ids):
        x = self.embedding(ids) + self.positions
        for block in self.blocks:
            x = block(x, self.mask)
        x = x[torch.arange(len(x)), ids.argmax(-1)]
        return F.normalize(self.project(self.norm(x)), dim=-1)


class GPT2(nn.Module):
    """GPT-2 small; the head is tied to the embedding."""

    def __init__(self, vocabulary=50257, context=1024, width=768, depth=12, heads=12):
        super().__init__()
        self.context, self.width, self.heads = context, width, heads
        self.embedding, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads, gelu_tanh, 1e-5) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def generate(self, steps):
        """Continues a prompt of one token greedily. Preallocated caches."""
        caches = torch.empty(len(self.blocks), 2, 1, self.heads, steps, self.width // self.heads)
        token = torch.zeros(1, 1, dtype=torch.long)
        for at in range(steps):
            x = self.embedding(token) + self.positions.weight[at]
            for block, cache in zip(self.blocks, caches):
                x = block(x, None, cache, at)
            token = F.linear(self.norm(x), self.embedding.weight).argmax(-1)
        return token


class Resampled(nn.Module):
    """A layer of the Perceiver resampler of Flamingo (arXiv:2204.14198)."""

    def __init__(self, width, heads, head):
        super().__init__()
        self.heads = heads
        self.norm_media, self.norm_latents = nn.LayerNorm(width), nn.LayerNorm(width)
        self.q = nn.Linear(width, heads * head, bias=False)
        self.kv = nn.Linear(width, 2 * heads * head, bias=False)
        self.out = nn.Linear(heads * head, width, bias=False)
        self.ff = feed_forward(width)

    def forward(self, x, latents):
        normed = self.norm_latents(latents)
        kv = self.kv(torch.cat([self.norm_media(x), normed], 1))
        latents = latents + self.out(attend(self.q(normed), *kv.chunk(2, -1), self.heads))
        return latents + self.ff(latents)


class Gated(nn.Module):
    """Gated cross-attention to keys and values that are computed once."""

    def __init__(self, width, context, heads, head):
        super().__init__()
        self.heads = heads
        self.gates = nn.Parameter(torch.zeros(2))
        self.norm = nn.LayerNorm(width)
        self.q = nn.Linear(width, heads * head, bias=False)
        self.kv = nn.Linear(context, 2 * heads * head, bias=False)
        self.out = nn.Linear(heads * head, width, bias=False)
        self.ff = feed_forward(width)

    def forward(self, x, k, v):
        a, f = self.gates.tanh()
        x = x + self.out(attend(self.q(self.norm(x)), k, v, self.heads)) * a
        return x + self.ff(x) * f


def feed_forward(width):
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 4 * width, bias=False), nn.GELU(),
                         nn.Linear(4 * width, width, bias=False))


def attend(q, k, v, heads):
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)


class Flamingo(GPT2):
    """Cross-attention before every other block, around GPT-2 small."""

    def __init__(self, vision=768, latents=64, depth=6, heads=8, head=64):
        super().__init__(50260)
        self.latents = nn.Parameter(torch.randn(1, latents, vision))
        self.resampler = nn.ModuleList(Resampled(vision, heads, head) for _ in range(depth))
        self.resampled = nn.LayerNorm(vision)
        self.gated = nn.ModuleList(Gated(self.width, vision, heads, head) for _ in self.blocks[1::2])

    def generate(self, steps, patches):
        """Looks at an image and continues its token greedily. Preallocated caches."""
        latents = self.latents
        for layer in self.resampler:
            latents = layer(patches, latents)
        latents = self.resampled(latents)
        memories = [g.kv(latents).chunk(2, -1) for g in self.gated]
        caches = torch.empty(len(self.blocks), 2, 1, self.heads, steps, self.width // self.heads)
        token = torch.full((1, 1), 50257)
        for at in range(steps):
            x = self.embedding(token) + self.positions.weight[at]
            for i, (block, cache) in enumerate(zip(self.blocks, caches)):
                if i % 2 == 1:
                    x = self.gated[i // 2](x, *memories[i // 2])
                x = block(x, None, cache, at)
            token = F.linear(self.norm(x), self.embedding.weight)[..., :50257].argmax(-1)
        return token


class DALLE(nn.Module):
    """A DALL·E (arXiv:2102.12092) for grids of 16×16 image tokens."""

    def __init__(self, texts=1024, images=512, text=16, image=256, width=128, depth=4, heads=4):
        super().__init__()
        self.heads, self.length, self.tokens = heads, text, image
        self.text, self.text_positions = nn.Embedding(texts, width), nn.Embedding(text, width)
        self.image, self.positions = nn.Embedding(images, width), nn.Embedding(image, width)
        self.blocks = nn.ModuleList(Block(width, heads, F.gelu, 1e-5) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, images)

    def generate(self, ids, top_k):
        """Draws the image tokens of a text, which sees itself. Preallocated caches.

        Texts need no padding here, and so attention no mask.
        """
        B, T = ids.shape
        width = self.head.in_features
        caches = torch.empty(len(self.blocks), 2, B, self.heads, T + self.tokens, width // self.heads)
        x, at, drawn = self.text(ids) + self.text_positions.weight[:T], 0, []
        while True:
            for block, cache in zip(self.blocks, caches):
                x = block(x, None, cache, at)
            at += x.shape[1]
            scores, likely = self.head(self.norm(x[:, -1])).topk(top_k)
            token = likely.gather(1, torch.multinomial(scores.softmax(-1), 1))
            drawn.append(token)
            if len(drawn) == self.tokens:
                return torch.cat(drawn, 1)
            x = self.image(token) + self.positions.weight[len(drawn) - 1]


class VQVAE(nn.Module):
    """A VQ-VAE (arXiv:1711.00937): strided 4×4 convolutions with batch norm and
    leaky ReLU, and a codebook of moving averages."""

    def __init__(self, hidden=(64, 128), codes=512, dim=64, decay=0.99):
        super().__init__()
        layers, channels = [], 3
        for h in hidden:
            layers += [nn.Conv2d(channels, h, 4, 2, 1), nn.BatchNorm2d(h), nn.LeakyReLU()]
            channels = h
        self.encoder = nn.Sequential(*layers, nn.Conv2d(channels, dim, 1))
        layers = [nn.Conv2d(dim, channels, 1)]
        for h in hidden[-2::-1]:
            layers += [nn.ConvTranspose2d(channels, h, 4, 2, 1), nn.BatchNorm2d(h), nn.LeakyReLU()]
            channels = h
        self.decoder = nn.Sequential(*layers, nn.ConvTranspose2d(channels, 3, 4, 2, 1))
        self.decay = decay
        self.register_buffer("codes", torch.randn(codes, dim))
        self.register_buffer("counts", torch.ones(codes))
        self.register_buffer("sums", self.codes.clone())

    @torch.no_grad()
    def nearest(self, z):
        """Finds the codes nearest to z (N, D)."""
        return torch.addmm(self.codes.square().sum(1), z, self.codes.t(), alpha=-2).argmin(1)

    @torch.no_grad()
    def follow(self, z, ids):
        """Moves codes to the vectors (N, D) assigned to them."""
        self.counts.lerp_(torch.bincount(ids, minlength=len(self.codes)).to(z.dtype), 1 - self.decay)
        self.sums.lerp_(torch.zeros_like(self.sums).index_add_(0, ids, z), 1 - self.decay)
        n, eps = self.counts.sum(), 1e-5  # Laplace smoothing
        smooth = (self.counts + eps) / (n + len(self.codes) * eps) * n
        torch.div(self.sums, smooth[:, None], out=self.codes)

    def loss(self, images):
        z = self.encoder(images).permute(0, 2, 3, 1)  # (B, H, W, D)
        flat = z.reshape(-1, z.shape[-1])
        ids = self.nearest(flat)
        q = F.embedding(ids, self.codes).view(z.shape)
        self.follow(flat, ids)
        y = self.decoder((z + (q - z).detach()).permute(0, 3, 1, 2))
        return F.mse_loss(y, images) + 0.25 * F.mse_loss(z, q)


def trainer(model, loss):
    """A step of training: forward, backward, clipping to norm 1, AdamW."""
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(parameters, 1e-4, weight_decay=0.05)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()

    return step


def vit_trainer():
    """The step of the ViT of 32 pixels, patch 4, width 192, 4 blocks."""
    model = ViT(32, 4, 192, 4, 3, 10)
    images, labels = torch.randn(32, 3, 32, 32), torch.randint(0, 10, (32,))
    return trainer(model, lambda: F.cross_entropy(model(images), labels))


def vqvae_trainer(memory_format):
    """The step of the VQ-VAE of 64 pixels, widths 64 and 128."""
    model = VQVAE().to(memory_format=memory_format)
    images = torch.randn(32, 3, 64, 64).to(memory_format=memory_format)
    return trainer(model, lambda: model.loss(images))
