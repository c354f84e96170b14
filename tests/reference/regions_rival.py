"""Questions about one region after the other in PyTorch, image and common prompt kept: a rival of `make bench-regions`.

    python regions_rival.py --reference REFERENCE.py --shape 7b [--threads 2] [--regions 2] [--tokens 24]

Weights are noise of the model's sizes (rival.py). Prints JSON: for each region, milliseconds of what was computed for the
image and the region, the prompt, and the answer's tokens. The first region's are with image and common prompt.
"""
import argparse
import json
from pathlib import Path

import torch

from make_goldens import load_reference
from rival import SHAPES, Llama, Noise, Tower, boxes, pyramid, regions, tapped, timed

COMMON, OWN = 310, 7  # positions of "What is <region1>?" up to its region, and from there on


def answer(llama, common, tokens):
    """Milliseconds of a region's own prompt, and of the rest of its answer."""
    prefill, (_, kept) = timed(lambda: llama.read(OWN, common))

    def decode():
        past = kept
        for _ in range(tokens - 1):
            past = llama.read(1, past)[1]

    return prefill, timed(decode)[0]


@torch.inference_mode()
def race(args):
    dtype = getattr(torch, args.type)
    shape, reference = SHAPES[args.shape], load_reference(args.reference)
    w, tower, llama = Noise(shape, dtype), Tower(shape, dtype), Llama(shape, dtype)
    grids = [g.to(dtype) for g in tapped(shape)]

    def see():
        tower.run()
        return [m.to(dtype) for m in pyramid(reference, w, grids)]

    def region(i):
        return regions(reference, w, maps, boxes(i + 1)[i:].to(dtype))

    maps = see()
    region(0), llama.read(1)  # what is made at first use does not count
    image = timed(see)[0]
    reading, (_, common) = timed(lambda: llama.read(COMMON))
    out = []
    for i in range(args.regions):
        encode = timed(lambda: region(i))[0]
        prefill, decode = answer(llama, common, args.tokens)
        out.append({"encode": encode, "prefill": prefill, "decode": decode})
    out[0]["encode"] += image
    out[0]["prefill"] += reading
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--shape", choices=SHAPES, required=True)
    parser.add_argument("--type", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--regions", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=24)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    print(json.dumps(race(args)))


if __name__ == "__main__":
    main()
