"""The drawings that `gpt4roi demo --scene NUMBER` composes scenes from: one atlas with transparency, and its index.

    python make_sprites.py --out models/demo/scenes

Drawings are Fluent 3D (MIT), or Noto (Apache-2.0) with --set noto, so the atlas may be passed on. Colours are lossy
(a lossless atlas has three times the size), transparency is exact.
"""
import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image

import art
from concepts import concepts

LONGEST = 160  # pixels of a sprite's longest side
WIDTH = 2048  # of the atlas
GAP = 4  # transparent pixels between sprites, so that the codec's blocks mix no two of them
QUALITY = 90
MAY_BE_SHIPPED = ("fluent-3d", "noto")  # licences that ask for no share-alike and no credit in the picture


def drawing(concept, drawing_set):
    """The set's first drawing of a concept, cropped, at most LONGEST long."""
    image = Image.fromarray(art.crop(np.ascontiguousarray(drawing_set.draw(concept)[0])))
    scale = min(1, LONGEST / max(image.size))
    # Weighted by alpha, or the colour of what is transparent would tint the edges.
    size = [max(1, round(side * scale)) for side in image.size]
    return image.convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA")


def pack(sizes):
    """Places on shelves, the tallest first: ([(x, y)] in the order of `sizes`, height of the atlas)."""
    places = [(0, 0)] * len(sizes)
    x = y = shelf = 0
    for i in sorted(range(len(sizes)), key=lambda i: (-sizes[i][1], i)):
        width, height = sizes[i]
        if x + width > WIDTH:
            x, y, shelf = 0, y + shelf + GAP, 0
        places[i] = (x, y)
        x, shelf = x + width + GAP, max(shelf, height)
    return places, y + shelf


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--set", choices=MAY_BE_SHIPPED, default=MAY_BE_SHIPPED[0])
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    drawing_set = next(s for s in art.for_role(art.TRAIN) if s.name == args.set)
    sprites = [drawing(concept, drawing_set) for concept in concepts()]
    places, height = pack([s.size for s in sprites])
    atlas = Image.new("RGBA", (WIDTH, height))
    lines = []
    for concept, sprite, (x, y) in zip(concepts(), sprites, places):
        atlas.paste(sprite, (x, y))
        entry = {"name": concept.name, "x": x, "y": y, "w": sprite.width, "h": sprite.height}
        lines.append(json.dumps(entry))
    atlas.save(args.out / "sprites.webp", quality=QUALITY, alpha_quality=100, method=6)
    (args.out / "sprites.json").write_text('{"sprites": [\n' + ",\n".join(lines) + "\n]}\n")


if __name__ == "__main__":
    main()
