"""The pictures that `gpt4roi demo` shows: composed by hand, and larger than the model's input.

    python make_scenes.py --out models/demo/scenes
    python make_scenes.py --out DIR --seed 7      # one fresh scene, objects and places by chance

Drawings are Fluent 3D (MIT) and Noto (Apache-2.0), backgrounds are drawn here, so the pictures may
be passed on.
"""
import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

import art
from concepts import by_name, concepts

SIDE = 896
# Name; colours of sky and ground; horizon; objects: name, set, longest side, centre (shares of the picture).
SCENES = [
    ("picnic", (168, 214, 240), (104, 168, 84), 0.42, [
        ("dog", "fluent-3d", 0.36, 0.24, 0.70), ("guitar", "fluent-3d", 0.34, 0.76, 0.30),
        ("watermelon", "fluent-3d", 0.26, 0.62, 0.78), ("butterfly", "fluent-3d", 0.15, 0.22, 0.20)]),
    ("street", (188, 204, 220), (126, 128, 134), 0.60, [
        ("bus", "noto", 0.40, 0.27, 0.55), ("bicycle", "noto", 0.30, 0.75, 0.74),
        ("traffic light", "noto", 0.26, 0.82, 0.26), ("cat", "noto", 0.17, 0.46, 0.86)]),
    ("desk", (226, 214, 196), (150, 104, 66), 0.52, [
        ("laptop", "fluent-3d", 0.42, 0.34, 0.46), ("coffee", "fluent-3d", 0.22, 0.78, 0.60),
        ("pencil", "fluent-3d", 0.20, 0.60, 0.86), ("light bulb", "fluent-3d", 0.20, 0.80, 0.20)]),
    ("sea", (150, 198, 236), (38, 108, 168), 0.50, [
        ("sailboat", "noto", 0.36, 0.30, 0.40), ("dolphin", "noto", 0.34, 0.70, 0.74),
        ("sun", "noto", 0.22, 0.80, 0.18), ("lobster", "noto", 0.20, 0.22, 0.84)]),
]


def backdrop(rng, sky, ground, horizon):
    """Two soft bands with some texture, uint8 [SIDE, SIDE, 3]."""
    y = np.linspace(0, 1, SIDE)[:, None, None]
    below = 1 / (1 + np.exp(-(y - horizon) * 60))
    light = 1.06 - 0.16 * np.abs(y - horizon)
    plain = (np.array(sky) * (1 - below) + np.array(ground) * below) * light
    grain = Image.fromarray(rng.integers(0, 255, (SIDE // 8, SIDE // 8), dtype=np.uint8))
    grain = np.asarray(grain.resize((SIDE, SIDE), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(6)), float)
    return Image.fromarray(np.clip(plain + (grain[..., None] - 127) * 0.10, 0, 255).astype(np.uint8))


def paste(image, name, set_name, longest, cx, cy):
    """Draws an object with a soft shadow; returns its box."""
    drawing_set = next(s for s in art.for_role(art.TRAIN) if s.name == set_name)
    sprite = Image.fromarray(art.crop(np.ascontiguousarray(drawing_set.draw(by_name()[name])[0])))
    scale = longest * SIDE / max(sprite.size)
    sprite = sprite.resize([max(1, round(v * scale)) for v in sprite.size], Image.Resampling.LANCZOS)
    x = round(min(max(cx * SIDE - sprite.width / 2, 8), SIDE - 8 - sprite.width))
    y = round(min(max(cy * SIDE - sprite.height / 2, 8), SIDE - 8 - sprite.height))
    shadow = Image.new("L", image.size)
    shadow.paste(sprite.getchannel("A").point(lambda a: a * 0.45), (x + 6, y + 12))
    image.paste((20, 20, 30), (0, 0), shadow.filter(ImageFilter.GaussianBlur(12)))
    image.paste(sprite, (x, y), sprite)
    return [x, y, x + sprite.width, y + sprite.height]


def by_chance(seed):
    """A scene of four objects in the four quarters."""
    rng = np.random.default_rng((8, seed))
    chosen = rng.choice(len(concepts()), 4, replace=False)
    places = [(0.27, 0.29), (0.74, 0.27), (0.28, 0.74), (0.74, 0.72)]
    objects = [(concepts()[c].name, str(rng.choice(["fluent-3d", "noto"])), float(rng.uniform(0.16, 0.40)),
                x + float(rng.normal(0, 0.03)), y + float(rng.normal(0, 0.03)))
               for c, (x, y) in zip(chosen, places)]
    sky, ground = (tuple(int(v) for v in rng.integers(70, 240, 3)) for _ in range(2))
    return (f"scene-{seed}", sky, ground, float(rng.uniform(0.35, 0.65)), objects)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, help="one scene by chance instead of those by hand")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    index = []
    for number, (name, sky, ground, horizon, objects) in enumerate(SCENES if args.seed is None else [by_chance(args.seed)]):
        image = backdrop(np.random.default_rng((9, number)), sky, ground, horizon)
        boxes = [paste(image, *o) for o in objects]
        image.save(args.out / f"{name}.jpg", quality=88)
        index.append({"name": name, "image": f"{name}.jpg", "boxes": boxes, "labels": [o[0] for o in objects]})
    (args.out / "scenes.json").write_text(json.dumps({"scenes": index}, indent=1) + "\n")


if __name__ == "__main__":
    main()
