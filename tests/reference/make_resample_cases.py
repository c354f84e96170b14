"""Writes runtime/tests/data/resample_cases.json: checksums of what Pillow and OpenCV make of noise.

    pip install pillow==9.5.0 numpy opencv-python-headless==4.11.0.86
    python tests/reference/make_resample_cases.py > 9.json
    pip install pillow==13.0.0
    python tests/reference/make_resample_cases.py > 13.json
    jq -c '.[]' 9.json 13.json | sort -u | jq -s -c . > runtime/tests/data/resample_cases.json

Pillow before 13 always runs the horizontal pass first, as it did when the model was trained; 13
runs the vertical one first for pictures that it shrinks a lot more in height than in width.

Each case is [filter, seed, width, height, new width, new height, checksum]. The picture is the
stream of the seeded generator of the Rust tests, the checksum FNV-1a with 64 bits over the result.
"""
import json

import cv2
import numpy as np
import PIL
from PIL import Image

GAMMA, M1, M2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def noise(width, height, seed):
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, width * height * 3 + 1, dtype=np.uint64) * np.uint64(GAMMA)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(M1)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(M2)
        z ^= z >> np.uint64(31)
    return (z & np.uint64(255)).astype(np.uint8).reshape(height, width, 3)


def fnv1a(data):
    h = 0xCBF29CE484222325
    for byte in data:
        h = ((h ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return h


SIZES = [
    (320, 240, 298, 224), (231, 410, 224, 397), (224, 224, 224, 224), (1, 1, 224, 224),
    (2, 2, 224, 224), (3, 1, 672, 224), (1, 5, 224, 1120), (500, 333, 336, 224),
    (640, 480, 298, 224), (1000, 17, 900, 31), (17, 1000, 31, 900), (225, 224, 225, 224),
    (223, 300, 224, 301), (37, 91, 224, 550), (448, 224, 448, 224), (7, 7, 3, 2), (100, 100, 1, 1),
    (1999, 3, 5, 3), (640, 427, 335, 224), (333, 77, 224, 224), (64, 64, 97, 13), (1200, 800, 336, 224),
    (500, 1500, 224, 672), (300, 700, 224, 522),
]


def main():
    cases = []
    bicubic = "bicubic 13" if int(PIL.__version__.split(".")[0]) >= 13 else "bicubic"
    for seed, (w, h, nw, nh) in enumerate(SIZES):
        rgb = noise(w, h, seed)
        out = np.asarray(Image.fromarray(rgb).resize((nw, nh), Image.BICUBIC))
        cases.append([bicubic, seed, w, h, nw, nh, f"{fnv1a(out.tobytes()):016x}"])
        out = cv2.resize(rgb, (56, 56), interpolation=cv2.INTER_LINEAR)
        cases.append(["linear", seed, w, h, 56, 56, f"{fnv1a(out.tobytes()):016x}"])
    print("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]")


if __name__ == "__main__":
    main()
