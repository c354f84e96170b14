"""Races the image side of `gpt4roi bench` against PyTorch, in one run, on as many threads.

    python bench_rivals.py --reference REFERENCE.py --gpt4roi target/release/gpt4roi [--threads 2] [--runs 3]

Needs torch and torchvision. The reference module (see README.md here) gives the functions; weights are noise of the
published sizes. Ours runs before and after PyTorch; both are shown, and the ratio is that of the medians over
both. Prints a Markdown table; --json writes everything to a file.

With --model and --mmproj (files of the 7B model's sizes) ours runs on them, and there are rows for all that comes before
the first token of an answer. PyTorch then has two layers' weights which stand for all 32 in turn, since 28 GB
of them would not fit here: they are too large for any cache, so that the time is the same. With --mtmd
(`mtmd-rival`, built with the feature mtmd) libmtmd's encoder runs on the same files.
"""
import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
import torchvision.ops

WIDTH, CHANNELS, GRID, SIDES = 1024, 1024, 16, (128, 64, 32, 16)
FUSE, GROUPS, ROI, HIDDEN = 5, 64, 14, 4096
LAYERS, HEADS, FFN, PATCH, SIZE = 23, 16, 4096, 14, 224
LLM_LAYERS, LLM_HEADS, LLM_FFN, VOCABULARY, PROMPT = 32, 32, 11008, 32006, 330


def noise(*shape, fan_in=None):
    return torch.randn(*shape) * (fan_in or 1) ** -0.5


def best(runs, f):
    """Milliseconds of each run, after one that does not count."""
    times = []
    for i in range(runs + 1):
        start = time.perf_counter()
        f()
        if i:
            times.append((time.perf_counter() - start) * 1e3)
    return times


class Sizes:
    """What the reference's functions ask a configuration for."""
    level_sizes, level_strides = list(SIDES), [SIZE / s for s in SIDES]
    num_fuse, gn_groups, gn_eps, ln_eps = FUSE, GROUPS, 1e-5, 1e-5
    image_size, roi_size, sampling_ratio = SIZE, ROI, 2


class Noise:
    """Weights by name, of the published sizes."""
    dtype = torch.float32

    def __init__(self):
        self.made = {}

    def spi(self, name):
        if name not in self.made:
            self.made[name] = self.make(name)
        return self.made[name]

    @staticmethod
    def make(name):
        c = CHANNELS
        if "input_conv" in name:
            return noise(c, WIDTH + 2, 1, 1, fan_in=WIDTH) if name.endswith("weight") else noise(c, fan_in=c)
        if ".gn." in name:
            return torch.ones(c) if name.endswith("weight") else torch.zeros(c)
        if name.endswith("bias"):
            return torch.zeros(HIDDEN if "updims" in name else 256 if "embedd.0" in name or "embedd.2" in name else c)
        if "conv" in name:
            return noise(c, c, 3, 3, fan_in=9 * c)
        if "flatten" in name:
            return noise(c, c * ROI * ROI, fan_in=c * ROI * ROI)
        if "updims" in name:
            return noise(HIDDEN, c, fan_in=c)
        return {"0": noise(256, 4), "2": torch.ones(256), "3": noise(c, 256, fan_in=256), "5": torch.ones(c)}[name.split(".")[-2]]


def boxes(n):
    """As `gpt4roi bench` makes them."""
    part = lambda i, k: (i * k % 17) / 17
    rows = []
    for i in range(n):
        w, h = 0.1 + 0.8 * part(i, 5), 0.1 + 0.8 * part(i, 7)
        x, y = part(i, 3) * (1 - w), part(i, 11) * (1 - h)
        rows.append([x, y, x + w, y + h])
    return torch.tensor(rows)


def pooled(maps, fractions):
    # torchvision's op knows no bfloat16.
    rois = torch.cat([torch.zeros(len(fractions), 1), fractions.float() * SIZE], 1)
    pool = lambda m: torchvision.ops.roi_align(m.float(), rois, (ROI, ROI), m.shape[-1] / SIZE, 2, aligned=True)
    return [pool(m).to(m.dtype) for m in maps]


def regions(reference, w, maps, fractions):
    """Fused maps to region vectors, with torchvision's RoIAlign."""
    total = sum(F.conv2d(r, w.spi(f"roi_align.pconvs.{i}.weight"), w.spi(f"roi_align.pconvs.{i}.bias"), padding=1)
                for i, r in enumerate(pooled(maps, fractions)))
    flat = F.relu(total).flatten(1)
    lin = F.linear(flat, w.spi("roi_align.flatten_linear.weight"), w.spi("roi_align.flatten_linear.bias"))
    mid = lin + reference.box_mlp(Sizes, w, fractions)
    return F.linear(mid, w.spi("roi_align.updims.weight"), w.spi("roi_align.updims.bias"))


class Tower:
    """CLIP's vision transformer up to the last hidden state that is read, with PyTorch's own attention."""

    def __init__(self, dtype):
        d = WIDTH
        make = lambda *s: noise(*s, fan_in=s[-1]).to(dtype)
        self.patch = noise(d, 3, PATCH, PATCH, fan_in=3 * PATCH**2).to(dtype)
        self.norm = torch.ones(d, dtype=dtype), torch.zeros(d, dtype=dtype)
        self.blocks = [{"qkv": make(3 * d, d), "out": make(d, d), "up": make(FFN, d), "down": make(d, FFN)}
                       for _ in range(LAYERS)]
        self.projector = make(HIDDEN, d)
        self.first = torch.zeros(1, 1, d, dtype=dtype)
        self.pixels = torch.randn(1, 3, SIZE, SIZE).to(dtype)

    def run(self):
        ln = lambda x: F.layer_norm(x, x.shape[-1:], *self.norm)
        x = F.conv2d(self.pixels, self.patch, stride=PATCH).flatten(2).transpose(1, 2)
        x = ln(torch.cat([self.first, x], 1))
        for b in self.blocks:
            q, k, v = F.linear(ln(x), b["qkv"]).view(1, -1, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
            a = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            x = x + F.linear(a, b["out"])
            y = F.linear(ln(x), b["up"])
            x = x + F.linear(y * torch.sigmoid(1.702 * y), b["down"])
        return F.linear(x[:, 1:], self.projector)


class Llama:
    """The language model, reading a prompt; layer after layer with the weights of two by turns."""

    def __init__(self, dtype):
        d, self.dtype = HIDDEN, dtype
        make = lambda *s: (torch.rand(*s, dtype=dtype) - 0.5) * s[-1] ** -0.5
        self.layers = [{"qkv": make(3 * d, d), "out": make(d, d), "gate": make(LLM_FFN, d), "up": make(LLM_FFN, d),
                        "down": make(d, LLM_FFN)} for _ in range(2)]
        self.head, self.norm = make(VOCABULARY, d), torch.ones(d, dtype=dtype)
        angles = torch.outer(torch.arange(PROMPT), 1e4 ** -(torch.arange(0, d // LLM_HEADS, 2) / (d // LLM_HEADS)))
        angles = torch.cat([angles, angles], 1)
        self.cos, self.sin = angles.cos().to(dtype), angles.sin().to(dtype)

    def turn(self, x):
        a, b = x.chunk(2, -1)
        return x * self.cos + torch.cat([-b, a], -1) * self.sin

    def run(self):
        norm = lambda x: F.rms_norm(x, x.shape[-1:], self.norm, 1e-6)
        x = torch.zeros(1, PROMPT, HIDDEN, dtype=self.dtype)
        for i in range(LLM_LAYERS):
            w = self.layers[i % 2]
            heads = F.linear(norm(x), w["qkv"]).view(1, PROMPT, 3, LLM_HEADS, -1)
            q, k, v = heads.permute(2, 0, 3, 1, 4)
            a = F.scaled_dot_product_attention(self.turn(q), self.turn(k), v, is_causal=True)
            x = x + F.linear(a.transpose(1, 2).flatten(2), w["out"])
            y = norm(x)
            x = x + F.linear(F.silu(F.linear(y, w["gate"])) * F.linear(y, w["up"]), w["down"])
        return F.linear(norm(x[:, -1]), self.head)

    @staticmethod
    def gigabytes(dtype):
        layer = 4 * HIDDEN**2 + 3 * HIDDEN * LLM_FFN
        return (LLM_LAYERS * layer + 2 * VOCABULARY * HIDDEN) * dtype.itemsize / 1e9


def ours(args):
    source = ["--model", args.model, "--mmproj", args.mmproj] if args.model else ["--preset", "7b", "--llm-layers", "1"]
    command = [args.gpt4roi, "bench", *source, "--threads", str(args.threads), "--prompt", str(PROMPT),
               "--regions", ",".join(map(str, args.regions)), "--runs", str(args.runs), "--generate", "1", "--json"]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return report["threads"][0]


def mtmd(args):
    command = [args.mtmd, "--model", args.model, "--mmproj", args.mmproj, "--threads", str(args.threads),
               "--crops", str(args.runs), "--generate", "1"]
    crops = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return [crop["encode"] for crop in crops]


def image_side(reference, args, dtype):
    """Milliseconds of all that is computed for one image and one region, but for the vision tower."""
    w, region = Noise(), boxes(1)
    w.dtype = dtype
    make = w.make
    w.make = lambda name: make(name).to(dtype)
    grids = [torch.randn(1, WIDTH, GRID, GRID).to(dtype) for _ in SIDES]

    def run():
        maps = reference.fuse_levels(Sizes, w, reference.upsample_levels(Sizes, grids))
        regions(reference, w, [m.to(dtype) for m in maps], region.to(dtype))

    return best(args.runs, run)


def first_token(reference, args, vision):
    """By type, milliseconds of all that comes before the first token; and the language model's share."""
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        parts = [vision[name], image_side(reference, args, dtype), best(args.runs, Llama(dtype).run)]
        yield f"first token, {name}", [sum(all) for all in zip(*parts)]
        yield f"prefill, {name}", parts[2]


@torch.inference_mode()
def theirs(args):
    spec = importlib.util.spec_from_file_location("reference", args.reference)
    reference = importlib.util.module_from_spec(spec)
    sys.modules["reference"] = reference
    spec.loader.exec_module(reference)
    w, out = Noise(), {}
    grids = [torch.randn(1, WIDTH, GRID, GRID) for _ in SIDES]
    fuse = lambda: reference.fuse_levels(Sizes, w, reference.upsample_levels(Sizes, grids))
    maps = fuse()
    out["pyramid"] = best(args.runs, fuse)
    for n in args.regions:
        some = boxes(n)
        out[f"roi_align x{n}"] = best(args.runs, lambda: pooled(maps, some))
        out[f"region x{n}"] = best(args.runs, lambda: regions(reference, w, maps, some))
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        out[f"vision, {name}"] = best(args.runs, Tower(dtype).run)
    if args.model:
        out.update(first_token(reference, args, {n: out[f"vision, {n}"] for n in ("float32", "bfloat16")}))
    if args.mtmd:
        out["vision, libmtmd"] = mtmd(args)
    return out


def rows(report):
    """Medians of ours by the stage's name."""
    all = {r["name"]: r["ms"]["median"] for r in report["rows"]}
    return {**all, "first token": sum(all[k] for k in ("vision", "pyramid", "region x1", "prefill"))}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--gpt4roi", required=True)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--regions", type=lambda s: [int(n) for n in s.split(",")], default=[1, 8, 32, 64])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--model")
    parser.add_argument("--mmproj")
    parser.add_argument("--mtmd")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if (args.model is None) != (args.mmproj is None) or args.mtmd and not args.model:
        parser.error("--model and --mmproj belong together, and --mtmd needs them")
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    before = ours(args)
    rival = theirs(args)
    after = ours(args)
    a, b = rows(before), rows(after)
    print(f"PyTorch {torch.__version__}, {args.threads} threads, float32 unless named; medians of {args.runs} runs, ms")
    if args.model:
        weights = " and ".join(f"{Llama.gigabytes(t):.1f} GB ({t})" for t in (torch.float32, torch.bfloat16))
        print(f"weights of the whole language model in PyTorch: {weights} (computed); file: {Path(args.model).stat().st_size / 1e9:.1f} GB")
    print("\n| stage | ours, before / after | rival | ratio |\n| --- | --- | --- | --- |")
    for name, times in rival.items():
        key = name.split(",")[0]
        median = statistics.median(times)
        print(f"| {name} | {a[key]:.1f} / {b[key]:.1f} | {median:.1f} | {2 * median / (a[key] + b[key]):.2f} |")
    if args.json:
        args.json.write_text(json.dumps({"before": before, "rival": rival, "after": after}, indent=1) + "\n")


if __name__ == "__main__":
    main()
