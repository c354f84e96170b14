"""Races the image side of `gpt4roi bench` against PyTorch, in one run, on as many threads.

    python bench_rivals.py --reference REFERENCE.py --gpt4roi target/release/gpt4roi [--threads 2] [--runs 3]

Needs torch, torchvision, numpy and safetensors. The reference module (see README.md here) gives the functions; weights are noise of the
published sizes. Ours runs before and after PyTorch; both are shown, and the ratio is that of the medians over
both. Prints a Markdown table; --json writes everything to a file.

With --model and --mmproj (files of the 7B model's sizes) ours runs on them, and there are rows for all that comes before
the first token of an answer, for which PyTorch has the weights of two layers only (rival.py). With --mtmd
(`mtmd-rival`, built with the feature mtmd) libmtmd's encoder runs on the same files. --towers are mmproj files of other types, of which
the vision tower alone is raced, each before and after the others.
"""
import argparse
import json
import statistics
import subprocess
from pathlib import Path

import torch

from make_goldens import load_reference
from rival import SHAPES, Llama, Noise, Tower, best, boxes, pooled, pyramid, regions, tapped

SHAPE, PROMPT = SHAPES["7b"], 330


def of(tower):
    return f"vision of {Path(tower).stem}"


def bench(args, source, prompt, n_regions):
    command = [args.gpt4roi, "bench", *source, "--threads", str(args.threads), "--prompt", str(prompt),
               "--regions", ",".join(map(str, n_regions)), "--runs", str(args.runs), "--generate", "1", "--json"]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return report["threads"][0]


def ours(args):
    source = ["--model", args.model, "--mmproj", args.mmproj] if args.model else ["--preset", "7b", "--llm-layers", "1"]
    report = bench(args, source, PROMPT, args.regions)
    for tower in args.towers:
        rows = bench(args, ["--model", args.model, "--mmproj", tower], 8, [1])["rows"]
        report["rows"] += [{**r, "name": of(tower)} for r in rows if r["name"] == "vision"]
    return report


def mtmd(args, mmproj):
    command = [args.mtmd, "--model", args.model, "--mmproj", mmproj, "--threads", str(args.threads),
               "--crops", str(args.runs), "--generate", "1"]
    crops = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return [crop["encode"] for crop in crops]


def image_side(reference, args, dtype):
    """Milliseconds of all that is computed for one image and one region, but for the vision tower."""
    w, region = Noise(SHAPE, dtype), boxes(1).to(dtype)
    grids = [g.to(dtype) for g in tapped(SHAPE)]

    def run():
        regions(reference, w, [m.to(dtype) for m in pyramid(reference, w, grids)], region)

    return best(args.runs, run)


def first_token(reference, args, vision):
    """By type, milliseconds of all that comes before the first token; and the language model's share."""
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        llama = Llama(SHAPE, dtype)
        parts = [vision[name], image_side(reference, args, dtype), best(args.runs, lambda: llama.read(PROMPT))]
        yield f"first token, {name}", [sum(all) for all in zip(*parts)]
        yield f"prefill, {name}", parts[2]


@torch.inference_mode()
def theirs(args):
    reference = load_reference(args.reference)
    w, out, grids = Noise(SHAPE), {}, tapped(SHAPE)
    maps = pyramid(reference, w, grids)
    out["pyramid"] = best(args.runs, lambda: pyramid(reference, w, grids))
    for n in args.regions:
        some = boxes(n)
        out[f"roi_align x{n}"] = best(args.runs, lambda: pooled(SHAPE, maps, some))
        out[f"region x{n}"] = best(args.runs, lambda: regions(reference, w, maps, some))
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        out[f"vision, {name}"] = best(args.runs, Tower(SHAPE, dtype).run)
    if args.model:
        out.update(first_token(reference, args, {n: out[f"vision, {n}"] for n in ("float32", "bfloat16")}))
    if args.mtmd:
        out["vision, libmtmd"] = mtmd(args, args.mmproj)
        out.update((f"{of(tower)}, libmtmd", mtmd(args, tower)) for tower in args.towers)
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
    parser.add_argument("--towers", nargs="+", default=[])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if (args.model is None) != (args.mmproj is None) or (args.mtmd or args.towers) and not args.model:
        parser.error("--model and --mmproj belong together, and --mtmd and --towers need them")
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    before = ours(args)
    rival = theirs(args)
    after = ours(args)
    a, b = rows(before), rows(after)
    print(f"PyTorch {torch.__version__}, {args.threads} threads, float32 unless named; medians of {args.runs} runs, ms")
    if args.model:
        weights = " and ".join(f"{Llama.gigabytes(SHAPE, t):.1f} GB ({t})" for t in (torch.float32, torch.bfloat16))
        print(f"weights of the whole language model in PyTorch: {weights} (computed); file: {Path(args.model).stat().st_size / 1e9:.1f} GB")
    print("\n| stage | ours, before / after | rival | ratio |\n| --- | --- | --- | --- |")
    for name, times in rival.items():
        stage = name.split(",")[0]
        median = statistics.median(times)
        # A tower's libmtmd runs on the same file, PyTorch's is of no file.
        for key in [k for k in a if k == stage or k.startswith(f"{stage} of ") and "libmtmd" not in name]:
            shown = name.replace(stage, key, 1)
            print(f"| {shown} | {a[key]:.1f} / {b[key]:.1f} | {median:.1f} | {2 * median / (a[key] + b[key]):.2f} |")
    if args.json:
        args.json.write_text(json.dumps({"before": before, "rival": rival, "after": after}, indent=1) + "\n")


if __name__ == "__main__":
    main()
