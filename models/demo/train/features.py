"""Composes training scenes and keeps what the vision tower makes of them.

    python features.py --tower CHECKPOINT/tower --out WORK/features --scenes 15360

The tower is frozen, so a scene passes through it once. Chunks that exist are not made again. A scene
takes 0.8 MB.
"""
import argparse
import json
import os
from dataclasses import asdict
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import torch

from scenes import MOST_OBJECTS, Placed, compose, scene_rng
from tower import Tower, to_pixels
from training import reduced

CHUNK, BATCH = 128, 16
# From a scene on: how many objects, and how many of them are small (scenes.compose). A scene with many costs the tower the
# same as one with few, and of objects that cover two of its patches more have to be seen before they are known.
PLANS = [(0, 1, MOST_OBJECTS, 1), (5120, 6, MOST_OBJECTS, 1), (9728, MOST_OBJECTS, MOST_OBJECTS, 2), (11264, 18, 18, 2.5)]


def composed(seed):
    torch.set_num_threads(1)
    rng = scene_rng("train", seed)
    _, fewest, most, skew = next(plan for plan in reversed(PLANS) if seed >= plan[0])
    scene = compose(rng, "train", int(rng.integers(fewest, most + 1)), skew=skew)
    return scene.image, [asdict(o) for o in scene.objects]


def write_chunk(tower, pool, out, number):
    seeds = range(number * CHUNK, (number + 1) * CHUNK)
    scenes = pool.map(composed, seeds, chunksize=8)
    images = np.stack([image for image, _ in scenes])
    states = []
    for i in range(0, CHUNK, BATCH):
        with reduced():
            taps = tower(to_pixels(images[i:i + BATCH]))
        states.append(torch.stack([t[:, 1:] for t in taps], 1).half().numpy())
    beside = out / "chunk.tmp.npy"
    np.save(beside, np.concatenate(states))
    (out / f"{number:04}.json").write_text(json.dumps([objects for _, objects in scenes]))
    os.replace(beside, out / f"{number:04}.npy")


class Features:
    """Kept scenes: the tapped hidden states `[4, 256, D]` without class token, and the objects."""

    def __init__(self, directory):
        self.paths = sorted(Path(directory).glob("[0-9]*.npy"))
        if not self.paths:
            raise SystemExit(f"no scenes in {directory}: run features.py first")
        self.chunks = [np.load(p, mmap_mode="r") for p in self.paths]
        objects = [json.loads(p.with_suffix(".json").read_text()) for p in self.paths]
        self.objects = [[Placed(**o) for o in scene] for chunk in objects for scene in chunk]

    def __len__(self):
        return len(self.objects)

    def states(self, indices):
        """The four taps of some scenes, each [B, 256, D]."""
        taken = np.stack([self.chunks[i // CHUNK][i % CHUNK] for i in indices])
        return list(torch.from_numpy(taken).float().unbind(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tower", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=15360)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    n_chunks = -(-args.scenes // CHUNK)
    with Pool(os.cpu_count()) as pool:
        tower = Tower(args.tower)
        for number in range(n_chunks):
            if not (args.out / f"{number:04}.npy").exists():
                write_chunk(tower, pool, args.out, number)
                print(f"chunk {number + 1} of {n_chunks}", flush=True)


if __name__ == "__main__":
    main()
