"""The demo model in PyTorch, with the tensor names of a published checkpoint.

Everything but the vision tower (tower.py): pyramid, RoIAlign, region vectors, image projector and a
small LLaMA that runs many dialogues behind shared prefixes (packing.py).
"""
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

N_SAMPLES = 2  # RoIAlign's samples on a side of a bin


@dataclass
class Config:
    vision_width: int = 384
    grid: int = 16
    n_levels: int = 4
    n_channels: int = 64
    n_groups: int = 4  # of 16 channels each, as in the original
    n_fuse: int = 2
    n_mid: int = 256
    n_pos_hidden: int = 64
    roi: int = 14
    drop: float = 0.1  # share of pooled values left out in training
    hidden: int = 256
    layers: int = 8
    heads: int = 4
    ffn: int = 1024
    vocab: int = 0
    rope_theta: float = 1e6

    @property
    def sides(self):
        """Sides of the levels' maps, finest first."""
        return [self.grid << k for k in reversed(range(self.n_levels))]


def resize(x, side):
    if x.shape[-1] == side:
        return x
    return F.interpolate(x, size=(side, side), mode="bilinear", align_corners=True)


class Whitened(nn.Conv2d):
    """A 1x1 convolution whose training goes on as if its input were whitened. The directions of the tower's hidden
    states that tell things apart are a hundred times weaker than others, and gradients alone would hardly find them."""

    def __init__(self, n, c):
        super().__init__(n, c, 1)
        self.register_buffer("mean", torch.zeros(n))
        self.register_buffer("white", torch.eye(n))

    def plain(self):
        """Kernel and bias as the published layer has them."""
        kernel = self.weight[:, :, 0, 0] @ self.white
        return kernel, self.bias - kernel @ self.mean

    def forward(self, x):
        kernel, bias = self.plain()
        return F.conv2d(x, kernel[:, :, None, None], bias)

    @torch.no_grad()
    def whiten(self, mean, white):
        """Sets mean [n] and the matrix [n, n] that whitens what is left; the function stays as it is."""
        kernel, bias = self.plain()
        self.bias.copy_(bias + kernel @ mean)
        self.weight.copy_((kernel @ torch.linalg.inv(white))[:, :, None, None])
        self.mean.copy_(mean)
        self.white.copy_(white)

    def fold(self):
        self.whiten(torch.zeros_like(self.mean), torch.eye(len(self.white)))


class Centred(nn.Linear):
    """A linear layer whose training goes on as if its input had no mean and unit variance: behind a ReLU, most of a
    gradient would only say how large the mean is."""

    def __init__(self, n, m):
        super().__init__(n, m)
        self.register_buffer("mean", torch.zeros(n))
        self.register_buffer("std", torch.ones(n))

    def forward(self, x):
        return F.linear((x - self.mean) / self.std, self.weight, self.bias)

    @torch.no_grad()
    def centre(self, mean, std):
        """Sets the input's statistics [n]; the function stays as it is."""
        weight = self.weight / self.std
        self.bias += weight @ (mean - self.mean)
        self.weight.copy_(weight * std)
        self.mean.copy_(mean)
        self.std.copy_(std)

    def fold(self):
        self.centre(torch.zeros_like(self.mean), torch.ones_like(self.std))


def shrunk(kernel, step):
    """A 3x3 kernel whose taps lie `step` cells apart, as one whose taps lie a cell apart: what is between two cells is
    interpolated."""
    taps = torch.tensor([[step, 0, 0], [1 - step, 1, 1 - step], [0, 0, step]])
    return torch.einsum("ya,ocab,xb->ocyx", taps, kernel, taps)


class FuseConv(nn.Module):
    def __init__(self, c, n_groups):
        super().__init__()
        self.conv = nn.Conv2d(c, c, 3, padding=1, bias=False)
        self.gn = nn.GroupNorm(n_groups, c)

    def forward(self, x, step=1):
        """`step` is the distance of two taps in cells of `x`."""
        x = self.conv(x) if step == 1 else F.conv2d(x, shrunk(self.conv.weight, step), padding=1)
        return F.relu(self.gn(x))


class Fuse(nn.Module):
    """Tapped maps to the fused pyramid."""

    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        self.input_conv = nn.ModuleList(
            Whitened(cfg.vision_width + 2, cfg.n_channels) for _ in range(cfg.n_levels))
        self.fuse_convs = nn.ModuleList(FuseConv(cfg.n_channels, cfg.n_groups) for _ in range(cfg.n_fuse))

    def forward(self, maps, largest=None):
        """Four [B, D, 16, 16] -> four [B, C, side, side], finest first. No side is above `largest`: a level that should
        have more cells is computed at fewer points, where it has the same values but for what ReLUs do between them.
        The maps are interpolated from 16x16, so little is lost, and most of the time is saved."""
        axis = torch.linspace(-1, 1, self.cfg.grid)
        x, y = axis[None, :].expand(len(axis), -1), axis[:, None].expand(-1, len(axis))
        coords = torch.stack([x, y])[None].expand(maps[0].shape[0], -1, -1, -1)
        sides = [min(side, largest or side) for side in self.cfg.sides]
        steps = [(few - 1) / (side - 1) for few, side in zip(sides, self.cfg.sides)]
        # The 1x1 convolution commutes with the upsampling, coordinates included.
        levels = [resize(conv(torch.cat([m, coords], 1)).float(), side)
                  for conv, m, side in zip(self.input_conv, maps, sides)]
        for conv in self.fuse_convs:
            levels = [conv(x, step) for x, step in zip(self.shuffle(levels), steps)]
        return levels

    def shuffle(self, levels):
        """Every level takes a quarter of its channels from each neighbour."""
        c, last = levels[0].shape[1], len(levels) - 1
        q, out = c // 4, []
        # Split, not sliced: each slice would have a gradient of the whole map's size.
        parts = [x.split([c - 2 * q, q, q], 1) for x in levels]
        for i, (own, _, _) in enumerate(parts):
            coarse = resize(parts[min(i + 1, last)][2], own.shape[-1])
            fine = resize(parts[max(i - 1, 0)][1], own.shape[-1])
            out.append(torch.cat([own, coarse, fine], 1))
        return out


def interpolation(lo, hi, side, bins):
    """RoIAlign along one axis as a matrix: [n, bins, side] from box borders [n], as fractions."""
    start, step = lo * side - 0.5, (hi - lo) * side / bins / N_SAMPLES
    p = start[:, None] + (torch.arange(bins * N_SAMPLES) + 0.5) * step[:, None]
    weight = ((p >= -1) & (p <= side)).float()
    p = p.clamp(min=0)
    first = p.floor().clamp(max=side - 1)
    frac = torch.where(first >= side - 1, torch.zeros_like(p), p - first)
    second = (first + 1).clamp(max=side - 1)
    m = torch.zeros(*p.shape, side)
    m.scatter_add_(2, first.long()[..., None], (weight * (1 - frac))[..., None])
    m.scatter_add_(2, second.long()[..., None], (weight * frac)[..., None])
    return m.view(len(lo), bins, N_SAMPLES, side).mean(2)


def upsampling(side, few):
    """The matrix [side, few] that interpolates `side` values from `few`, corners on corners."""
    return F.interpolate(torch.eye(few)[None], size=side, mode="linear", align_corners=True)[0].T


def roi_align(level, boxes, owner, bins, side):
    """[B, C, ., .], boxes [n, 4] as fractions, the image of each [n] -> [n, C, bins, bins], as from a map of `side`
    cells a side, which the level may have been spared."""
    out = [None] * len(boxes)
    wx = interpolation(boxes[:, 0], boxes[:, 2], side, bins)
    wy = interpolation(boxes[:, 1], boxes[:, 3], side, bins)
    if level.shape[-1] != side:
        up = upsampling(side, level.shape[-1])
        wx, wy = wx @ up, wy @ up
    for b, own in enumerate(level.unbind(0)):
        mine = (owner == b).nonzero().flatten()
        if len(mine) == 0:
            continue
        columns = torch.einsum("chw,nxw->nchx", own, wx[mine])
        pooled = torch.einsum("nyh,nchx->ncyx", wy[mine], columns)
        for i, r in zip(mine.tolist(), pooled):
            out[i] = r
    return torch.stack(out)


class Regions(nn.Module):
    """Fused maps and boxes to region vectors."""

    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        c, m, p = cfg.n_channels, cfg.n_mid, cfg.n_pos_hidden
        self.pconvs = nn.ModuleList(nn.Conv2d(c, c, 3, padding=1) for _ in range(cfg.n_levels))
        self.drop = nn.Dropout(cfg.drop)
        self.flatten_linear = Centred(c * cfg.roi**2, m)
        self.pos_embedd = nn.Sequential(nn.Linear(4, p), nn.ReLU(), nn.LayerNorm(p),
                                        nn.Linear(p, m), nn.ReLU(), nn.LayerNorm(m))
        self.updims = nn.Linear(m, cfg.hidden)

    def pooled(self, levels, boxes, owner):
        """All levels over the boxes, [n, C, 14, 14]."""
        return F.relu(sum(conv(roi_align(x.float(), boxes, owner, self.cfg.roi, side))
                          for conv, x, side in zip(self.pconvs, levels, self.cfg.sides)))

    def content(self, levels, boxes, owner):
        """What the boxes hold, [n, M]."""
        return self.flatten_linear(self.drop(self.pooled(levels, boxes, owner)).flatten(1))

    def forward(self, content, boxes):
        """[n, M] and boxes [n, 4] as fractions -> [n, H]."""
        return self.updims(content + self.pos_embedd(boxes))


class SpiModule(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.mlvl_fuse = Fuse(cfg)
        self.roi_align = Regions(cfg)


class RMSNorm(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n))

    def forward(self, x):
        x = x.float()
        y = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight
        # Cast once, not again for every matrix that reads it.
        return y.bfloat16() if torch.is_autocast_cpu_enabled() else y


def rope(x, turn):
    """Rotates tokens [T, heads, head width] by the cosines and sines [T, 1, half of it]."""
    cos, sin = (t.to(x.dtype) for t in turn)
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def attend(q, k, v, mask):
    """Attention over [n, heads, T, 64] with an additive mask [T, K]. Written out, because PyTorch's
    fused kernel is slower in bfloat16 on CPUs."""
    n, heads, t, _ = q.shape
    bias = mask.to(q.dtype).expand(n * heads, -1, -1)
    scores = torch.baddbmm(bias, q.flatten(0, 1), k.flatten(0, 1).transpose(1, 2), alpha=q.shape[-1] ** -0.5)
    return (scores.softmax(-1) @ v.flatten(0, 1)).view(n, heads, t, -1)


@dataclass
class Layout:
    """Where tokens stand: prefixes [B, P] first, then the examples' own tokens, one after the other, by packs."""
    batch: int
    prefix: int
    packs: list
    turn: tuple
    prefix_mask: torch.Tensor

    def split(self, x):
        """[tokens, heads, .] -> prefixes [B, heads, P, .] and the rows of each pack [n, heads, length, .]."""
        n = self.batch * self.prefix
        head, *own = x.split([n] + [len(p.cells) for p in self.packs])
        rows = [x.new_zeros(p.n * p.length, *x.shape[1:]).index_copy(0, p.cells, tokens)
                .view(p.n, p.length, *x.shape[1:]).transpose(1, 2) for p, tokens in zip(self.packs, own)]
        return head.view(self.batch, self.prefix, *x.shape[1:]).transpose(1, 2), rows

    def join(self, head, rows):
        flat = lambda x: x.transpose(1, 2).reshape(x.shape[0] * x.shape[2], -1)
        return torch.cat([flat(head)] + [flat(r)[p.cells] for p, r in zip(self.packs, rows)])


class Attention(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.heads = cfg.heads
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            setattr(self, name, nn.Linear(cfg.hidden, cfg.hidden, bias=False))

    def forward(self, x, at):
        heads = lambda y: y.view(len(y), self.heads, -1)
        q0, qs = at.split(rope(heads(self.q_proj(x)), at.turn))
        k0, ks = at.split(rope(heads(self.k_proj(x)), at.turn))
        v0, vs = at.split(heads(self.v_proj(x)))
        head, rows = attend(q0, k0, v0, at.prefix_mask), []
        for pack, q, k, v in zip(at.packs, qs, ks, vs):
            k, v = torch.cat([k0[pack.owner], k], 2), torch.cat([v0[pack.owner], v], 2)
            rows.append(attend(q, k, v, pack.mask))
        return self.o_proj(at.join(head, rows))


class Mlp(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.gate_proj = nn.Linear(cfg.hidden, cfg.ffn, bias=False)
        self.up_proj = nn.Linear(cfg.hidden, cfg.ffn, bias=False)
        self.down_proj = nn.Linear(cfg.ffn, cfg.hidden, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.self_attn, self.mlp = Attention(cfg), Mlp(cfg)
        self.input_layernorm, self.post_attention_layernorm = RMSNorm(cfg.hidden), RMSNorm(cfg.hidden)

    def forward(self, x, at):
        x = x + self.self_attn(self.input_layernorm(x), at)
        return x + self.mlp(self.post_attention_layernorm(x))


class Body(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.embed_tokens = nn.Embedding(cfg.vocab, cfg.hidden)
        self.layers = nn.ModuleList(Block(cfg) for _ in range(cfg.layers))
        self.norm = RMSNorm(cfg.hidden)
        self.mm_projector = nn.Linear(cfg.vision_width, cfg.hidden)
        self.spi_module = SpiModule(cfg)


class Gpt4Roi(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        self.model = Body(cfg)
        self.lm_head = nn.Linear(cfg.hidden, cfg.vocab, bias=False)
        nn.init.normal_(self.model.embed_tokens.weight, std=0.5)
        for block in self.model.layers:
            for w in (block.self_attn.o_proj.weight, block.mlp.down_proj.weight):
                nn.init.normal_(w, std=0.02)

    @property
    def extractor(self):
        return self.model.spi_module

    @property
    def eyes(self):
        """The layers between the tower and what a box holds."""
        regions = self.extractor.roi_align
        return nn.ModuleList([self.extractor.mlvl_fuse, regions.pconvs, regions.flatten_linear])

    def published(self):
        """The tensors of a checkpoint. The model must not be trained on."""
        for module in self.modules():
            if isinstance(module, (Whitened, Centred)):
                module.fold()
        neutral = [f"{name}.{buffer}" for name, module in self.named_modules() for buffer, _ in
                   module.named_buffers(recurse=False)]
        return {n: t.float().contiguous() for n, t in self.state_dict().items() if n not in neutral}

    def fused(self, states, largest=None):
        """Tapped hidden states [B, 256, D] (no class token) to the fused pyramid."""
        g = self.cfg.grid
        return self.extractor.mlvl_fuse([s.transpose(1, 2).reshape(s.shape[0], -1, g, g) for s in states], largest)

    def contents(self, states, boxes, owner, largest=None):
        """Tapped hidden states to what the boxes hold, [n, M]."""
        return self.extractor.roi_align.content(self.fused(states, largest), boxes, owner)

    def forward(self, batch, regions, row_of, images=None):
        """Logits at the batch's targets. `regions` [n, H] are the region vectors, `row_of` says which
        belongs to an object; `images` [B, 256, H] the pictures' vectors, without which there is one
        prefix for all."""
        prefix = self.model.embed_tokens(batch.prefix_ids).float()[None]
        if images is not None:
            first, end = batch.image_at, batch.image_at + images.shape[1]
            prefix = prefix.expand(images.shape[0], -1, -1)
            prefix = torch.cat([prefix[:, :first], images.float(), prefix[:, end:]], 1)
        own = self.model.embed_tokens(batch.ids).float()
        at = torch.tensor([i for i, _ in batch.regions])
        row = torch.tensor([row_of[id(o)] for _, o in batch.regions])
        own = own.index_put((at,), regions.float()[row])
        x = torch.cat([prefix.reshape(-1, own.shape[1]), own])
        layout = self.layout(batch, prefix.shape[0])
        for block in self.model.layers:
            x = block(x, layout)
        n_prefix = prefix.shape[0] * prefix.shape[1]
        return self.lm_head(self.model.norm(x[n_prefix + batch.target_at])).float()

    def layout(self, batch, n_images):
        half = self.cfg.hidden // self.cfg.heads // 2
        freq = self.cfg.rope_theta ** (-torch.arange(half) / half)
        angle = torch.cat([batch.prefix_positions.repeat(n_images), batch.positions])[:, None, None].float() * freq
        return Layout(n_images, len(batch.prefix_ids), batch.packs, (angle.cos(), angle.sin()), batch.prefix_mask)
