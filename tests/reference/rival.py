"""The model's parts in PyTorch, with noise as weights, to race against: at the published sizes and at those of the demo model.

The region extractor's functions are those of the reference implementation (README.md); the rest is written here with
PyTorch's own attention.
"""
import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
import torchvision.ops


@dataclass(frozen=True)
class Shape:
    """Sizes of a model, with what the reference's functions ask a configuration for."""
    width: int  # of the vision tower
    blocks: int  # up to the last hidden state that is read
    heads: int
    ffn: int
    channels: int  # of the region extractor
    mid: int
    pos_hidden: int
    num_fuse: int
    gn_groups: int
    hidden: int  # of the language model
    llm_layers: int
    llm_heads: int
    llm_ffn: int
    vocabulary: int
    patch: int = 14
    grid: int = 16
    image_size: int = 224
    roi_size: int = 14
    sampling_ratio: int = 2
    gn_eps: float = 1e-5
    ln_eps: float = 1e-5

    @property
    def level_sizes(self):
        return [8 * self.grid, 4 * self.grid, 2 * self.grid, self.grid]

    @property
    def level_strides(self):
        return [self.image_size / side for side in self.level_sizes]


SHAPES = {
    "7b": Shape(1024, 23, 16, 4096, 1024, 1024, 256, 5, 64, 4096, 32, 32, 11008, 32006),
    "demo": Shape(384, 11, 6, 1536, 64, 256, 64, 2, 4, 256, 8, 4, 1024, 2506),
}


def noise(*shape, fan_in=None):
    return torch.randn(*shape) * (fan_in or 1) ** -0.5


def timed(f):
    """Milliseconds, and what `f` gives."""
    start = time.perf_counter()
    result = f()
    return (time.perf_counter() - start) * 1e3, result


def best(runs, f):
    """Milliseconds of each run, after one that does not count."""
    return [timed(f)[0] for _ in range(runs + 1)][1:]


class Noise:
    """The region extractor's weights by name."""

    def __init__(self, shape, dtype=torch.float32):
        self.shape, self.dtype, self.made = shape, dtype, {}

    def spi(self, name):
        if name not in self.made:
            self.made[name] = self.make(name).to(self.dtype)
        return self.made[name]

    def make(self, name):
        s = self.shape
        c, m, p = s.channels, s.mid, s.pos_hidden
        weight = name.endswith("weight")
        if "input_conv" in name:
            return noise(c, s.width + 2, 1, 1, fan_in=s.width) if weight else noise(c, fan_in=c)
        if ".gn." in name:
            return torch.ones(c) if weight else torch.zeros(c)
        if "conv" in name:
            return noise(c, c, 3, 3, fan_in=9 * c) if weight else torch.zeros(c)
        if "flatten" in name:
            return noise(m, c * s.roi_size**2, fan_in=c * s.roi_size**2) if weight else torch.zeros(m)
        if "updims" in name:
            return noise(s.hidden, m, fan_in=m) if weight else torch.zeros(s.hidden)
        layer = name.split(".")[-2]
        if not weight:
            return torch.zeros(p if layer in "02" else m)
        return {"0": noise(p, 4), "2": torch.ones(p), "3": noise(m, p, fan_in=p), "5": torch.ones(m)}[layer]


def boxes(n):
    """As `gpt4roi bench` makes them."""
    part = lambda i, k: (i * k % 17) / 17
    rows = []
    for i in range(n):
        w, h = 0.1 + 0.8 * part(i, 5), 0.1 + 0.8 * part(i, 7)
        x, y = part(i, 3) * (1 - w), part(i, 11) * (1 - h)
        rows.append([x, y, x + w, y + h])
    return torch.tensor(rows)


def tapped(shape):
    """The tower's hidden states that are read, as grids."""
    return [torch.randn(1, shape.width, shape.grid, shape.grid) for _ in shape.level_sizes]


def pooled(shape, maps, fractions):
    # torchvision's op knows no bfloat16.
    rois = torch.cat([torch.zeros(len(fractions), 1), fractions.float() * shape.image_size], 1)
    bins = (shape.roi_size, shape.roi_size)
    pool = lambda m: torchvision.ops.roi_align(m.float(), rois, bins, m.shape[-1] / shape.image_size,
                                               shape.sampling_ratio, aligned=True)
    return [pool(m).to(m.dtype) for m in maps]


def pyramid(reference, w, grids):
    """Tapped grids [1, width, 16, 16] to fused maps."""
    return reference.fuse_levels(w.shape, w, reference.upsample_levels(w.shape, grids))


def regions(reference, w, maps, fractions):
    """Fused maps to region vectors, with torchvision's RoIAlign."""
    total = sum(F.conv2d(r, w.spi(f"roi_align.pconvs.{i}.weight"), w.spi(f"roi_align.pconvs.{i}.bias"), padding=1)
                for i, r in enumerate(pooled(w.shape, maps, fractions)))
    flat = F.relu(total).flatten(1)
    lin = F.linear(flat, w.spi("roi_align.flatten_linear.weight"), w.spi("roi_align.flatten_linear.bias"))
    mid = lin + reference.box_mlp(w.shape, w, fractions)
    return F.linear(mid, w.spi("roi_align.updims.weight"), w.spi("roi_align.updims.bias"))


class Tower:
    """CLIP's vision transformer up to the last hidden state that is read."""

    def __init__(self, shape, dtype):
        d, self.shape = shape.width, shape
        make = lambda *s: noise(*s, fan_in=s[-1]).to(dtype)
        self.patch = noise(d, 3, shape.patch, shape.patch, fan_in=3 * shape.patch**2).to(dtype)
        self.norm = torch.ones(d, dtype=dtype), torch.zeros(d, dtype=dtype)
        self.blocks = [{"qkv": make(3 * d, d), "out": make(d, d), "up": make(shape.ffn, d), "down": make(d, shape.ffn)}
                       for _ in range(shape.blocks)]
        self.projector = make(shape.hidden, d)
        self.first = torch.zeros(1, 1, d, dtype=dtype)
        self.pixels = torch.randn(1, 3, shape.image_size, shape.image_size).to(dtype)

    def run(self):
        s = self.shape
        ln = lambda x: F.layer_norm(x, x.shape[-1:], *self.norm)
        x = F.conv2d(self.pixels, self.patch, stride=s.patch).flatten(2).transpose(1, 2)
        x = ln(torch.cat([self.first, x], 1))
        for b in self.blocks:
            q, k, v = F.linear(ln(x), b["qkv"]).view(1, -1, 3, s.heads, s.width // s.heads).permute(2, 0, 3, 1, 4)
            a = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            x = x + F.linear(a, b["out"])
            y = F.linear(ln(x), b["up"])
            x = x + F.linear(y * torch.sigmoid(1.702 * y), b["down"])
        return F.linear(x[:, 1:], self.projector)


class Llama:
    """The language model. At the published sizes there are two layers' weights, which stand for all 32 in turn, since 28 GB
    of them would hardly fit anywhere: they are too large for any cache, so that the time is the same."""
    MOST_KEPT = 4e9  # bytes of weights
    N_CTX = 1024

    def __init__(self, shape, dtype):
        d, self.shape, self.dtype = shape.hidden, shape, dtype
        make = lambda *s: (torch.rand(*s, dtype=dtype) - 0.5) * s[-1] ** -0.5
        kept = shape.llm_layers if self.gigabytes(shape, dtype) * 1e9 < self.MOST_KEPT else 2
        self.layers = [{"qkv": make(3 * d, d), "out": make(d, d), "gate": make(shape.llm_ffn, d),
                        "up": make(shape.llm_ffn, d), "down": make(d, shape.llm_ffn)} for _ in range(kept)]
        self.head, self.norm = make(shape.vocabulary, d), torch.ones(d, dtype=dtype)
        width = d // shape.llm_heads
        angles = torch.outer(torch.arange(self.N_CTX), 1e4 ** -(torch.arange(0, width, 2) / width))
        angles = torch.cat([angles, angles], 1)
        self.cos, self.sin = angles.cos().to(dtype), angles.sin().to(dtype)

    def turn(self, x, first):
        rows = slice(first, first + x.shape[2])
        a, b = x.chunk(2, -1)
        return x * self.cos[rows] + torch.cat([-b, a], -1) * self.sin[rows]

    def read(self, n, past=None):
        """Reads `n` positions behind `past`, keys and values of every layer. Gives the last one's logits, and keys and
        values of all."""
        norm = lambda x: F.rms_norm(x, x.shape[-1:], self.norm, 1e-6)
        first = past[0][0].shape[2] if past else 0
        seen = torch.ones(n, first + n, dtype=torch.bool).tril(first) if past and n > 1 else None
        x, kept = torch.zeros(1, n, self.shape.hidden, dtype=self.dtype), []
        for i in range(self.shape.llm_layers):
            w = self.layers[i % len(self.layers)]
            q, k, v = F.linear(norm(x), w["qkv"]).view(1, n, 3, self.shape.llm_heads, -1).permute(2, 0, 3, 1, 4)
            q, k = self.turn(q, first), self.turn(k, first)
            if past:
                k, v = torch.cat([past[i][0], k], 2), torch.cat([past[i][1], v], 2)
            kept.append((k, v))
            a = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, is_causal=not past)
            x = x + F.linear(a.transpose(1, 2).flatten(2), w["out"])
            y = norm(x)
            x = x + F.linear(F.silu(F.linear(y, w["gate"])) * F.linear(y, w["up"]), w["down"])
        return F.linear(norm(x[:, -1]), self.head), kept

    @staticmethod
    def gigabytes(shape, dtype):
        layer = 4 * shape.hidden**2 + 3 * shape.hidden * shape.llm_ffn
        return (shape.llm_layers * layer + 2 * shape.vocabulary * shape.hidden) * dtype.itemsize / 1e9
