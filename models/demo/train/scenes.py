"""Composed scenes: object art over backgrounds, with exact boxes and colour names.

`compose(scene_rng(split, seed), split)` always gives the same scene. Splits:

- `train`: training art, strongly changed, over training backgrounds;
- `seen`: the same drawings, hardly changed, over held-out backgrounds;
- `unseen-art`: an art set that is never trained on (OpenMoji), over held-out backgrounds;
- `photo`: photographic cut-outs, over held-out backgrounds.
"""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageFilter

import art
import colours
import warp
from backgrounds import SIDE, background
from concepts import concepts

SPLITS = ("train", "seen", "unseen-art", "photo")
_ROLE = {"train": art.TRAIN, "seen": art.TRAIN, "unseen-art": art.UNSEEN_ART, "photo": art.PHOTO}

MOST_OBJECTS = 10
SMALLEST, LARGEST = 20.0, 140.0  # longest side of an object, pixels
LEAST_VISIBLE = 0.7
SOLID = 96  # alpha from which a pixel counts as part of an object

# How often a set is drawn from, where it has the concept.
_SET_WEIGHT = {"fluent-flat": 0.6, "noto-v1": 0.7, "streamline": 0.7}
# A mirror image of these is wrong (letters, digits, dials).
_NEVER_MIRRORED = frozenset(("ambulance", "police car", "taxi", "bus", "stop sign", "compass", "globe"))


@dataclass(frozen=True)
class Placed:
    """An object in a scene."""

    concept: int
    name: str
    kind: str
    art: str
    box: tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels, of the whole object
    colour: str
    colour_clear: bool  # whether asking for the colour is fair
    colour_share: float
    visible: float  # share of its pixels that nothing covers

    @property
    def size(self) -> float:
        """Square root of the box's area."""
        x1, y1, x2, y2 = self.box
        return ((x2 - x1) * (y2 - y1)) ** 0.5


@dataclass(frozen=True)
class Scene:
    image: np.ndarray  # uint8 [224, 224, 3], RGB
    objects: list[Placed]


def scene_rng(split: str, seed: int) -> np.random.Generator:
    """The random source of scene number `seed` of a split; the splits never share one."""
    return np.random.default_rng([zlib.crc32(split.encode()), seed])


# --- what to draw -----------------------------------------------------------------------------------------------


@lru_cache(maxsize=None)
def _pool(split: str) -> tuple[dict[int, list[tuple[str, int]]], tuple[int, ...]]:
    """Drawings (set, number) by concept, and the concepts there are."""
    if split not in SPLITS:
        raise ValueError(f"no split {split!r}; there are {', '.join(SPLITS)}")
    role = _ROLE[split]
    sets = art.for_training() if role == art.TRAIN else {s.name: art.load(s.name) for s in art.for_role(role)}
    drawings: dict[int, list[tuple[str, int]]] = {}
    for name, by_concept in sets.items():
        for concept, sprites in by_concept.items():
            drawings.setdefault(concept, []).extend((name, number) for number in range(len(sprites)))
    if not drawings:
        raise RuntimeError(f"split {split!r} has no art")
    return drawings, tuple(sorted(drawings))


@lru_cache(maxsize=None)
def _weights(split: str, concept: int) -> np.ndarray:
    """Probability of each drawing: sets by weight, drawings of a set alike."""
    drawings = _pool(split)[0][concept]
    names = [name for name, _ in drawings]
    weights = np.array([_SET_WEIGHT.get(name, 1.0) / names.count(name) for name in names])
    return weights / weights.sum()


@lru_cache(maxsize=4096)
def _edges(name: str, concept: int, number: int) -> np.ndarray:
    return warp.inner_edges(art.load(name)[concept][number])


def _pick(rng: np.random.Generator, split: str, taken: list[int], allowed: tuple[int, ...]) -> int:
    if taken and rng.random() < 0.18:  # now and then two of a kind
        return taken[int(rng.integers(len(taken)))]
    return allowed[int(rng.integers(len(allowed)))]


# --- making one object ------------------------------------------------------------------------------------------


def _mild(rng: np.random.Generator, sprite: np.ndarray, longest: float) -> Image.Image:
    image = warp.turned(warp.scaled(sprite, longest), rng.uniform(-6, 6))
    pixels = np.asarray(image).astype(np.float32)
    pixels[..., :3] = warp.recoloured(pixels[..., :3], rng.normal(0, 2), rng.uniform(0.9, 1.1), rng.uniform(0.92, 1.06),
                                      rng.uniform(0.92, 1.08))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _strong(rng: np.random.Generator, sprite: np.ndarray, edges: np.ndarray | None, longest: float) -> Image.Image:
    """`edges` where the drawing is to get an outline."""
    if edges is not None:
        sprite = warp.outlined(rng, sprite, edges, longest)
    image = warp.scaled(sprite, longest, stretch=float(np.exp(rng.normal(0, 0.12))))
    if rng.random() < 0.3:
        image = warp.bent(rng, image, rng.uniform(0.02, 0.07))
    image = warp.turned(image, rng.normal(0, 9) if rng.random() < 0.9 else rng.uniform(-40, 40))
    if rng.random() < 0.1:
        image = warp.flattened(rng, image)
    pixels = np.asarray(image).astype(np.float32)
    pixels[..., :3] = warp.strong_colour(rng, pixels[..., :3])
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    if rng.random() < 0.2:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.3 + longest / 80)))
    if rng.random() < 0.08 and longest > 30:  # eaten at the border
        image.putalpha(image.getchannel("A").filter(ImageFilter.MinFilter(3)))
    if rng.random() < 0.06:
        image = warp.haloed(rng, image)
    return image


def _object(rng: np.random.Generator, split: str, concept: int, longest: float) -> tuple[str, np.ndarray]:
    """(art set, cropped RGBA) of a freshly drawn object about `longest` pixels large."""
    drawings = _pool(split)[0][concept]
    name, number = drawings[int(rng.choice(len(drawings), p=_weights(split, concept)))]
    sprite = art.load(name)[concept][number]
    edges = None
    strong = split == "train" and rng.random() < 0.85
    if strong and rng.random() < 0.35:
        edges = _edges(name, concept, number)
    if concepts()[concept].name not in _NEVER_MIRRORED and rng.random() < 0.5:
        sprite = sprite[:, ::-1]
        edges = edges[:, ::-1] if edges is not None else None
    sprite = np.ascontiguousarray(sprite)
    image = _strong(rng, sprite, edges, longest) if strong else _mild(rng, sprite, longest)
    pixels = art.crop(np.asarray(image), SOLID)
    over = max(pixels.shape[:2]) / LARGEST
    if over > 1:  # turned and outlined beyond the largest size
        size = max(1, int(pixels.shape[1] / over)), max(1, int(pixels.shape[0] / over))
        pixels = art.crop(np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR)), SOLID)
    return name, pixels


# --- putting it into the scene ----------------------------------------------------------------------------------


class _Canvas:
    """The picture so far, and which object each pixel shows."""

    def __init__(self, image: Image.Image):
        self.pixels = np.asarray(image).astype(np.float32)
        self.owner = np.full((SIDE, SIDE), -1, np.int16)
        self.total: list[int] = []  # pixels of each object
        self.visible: list[int] = []

    def place_for(self, rng: np.random.Generator, mask: np.ndarray, crowded: bool) -> tuple[int, int] | None:
        """A position (x, y) where no object becomes covered too far; `crowded` allows overlaps from the start."""
        height, width = mask.shape
        for attempt in range(24):
            x, y = int(rng.integers(0, SIDE - width + 1)), int(rng.integers(0, SIDE - height + 1))
            below = self.owner[y:y + height, x:x + width][mask]
            below = below[below >= 0]
            if not len(below):
                return x, y
            if not crowded and attempt < 16:
                continue
            covered = np.bincount(below, minlength=len(self.total))
            if all(v - c >= LEAST_VISIBLE * t for v, c, t in zip(self.visible, covered.tolist(), self.total)):
                return x, y
        return None

    def shade(self, rng: np.random.Generator, rgba: np.ndarray, x: int, y: int) -> None:
        """A soft shadow under an object."""
        dx, dy = (int(v) for v in rng.integers(-4, 8, 2))
        blur = rng.uniform(1, 5)
        shadow = Image.new("L", (SIDE, SIDE))
        shadow.paste(Image.fromarray(rgba[..., 3]), (x + dx, y + dy))
        dark = np.asarray(shadow.filter(ImageFilter.BoxBlur(blur)), np.float32) / 255
        self.pixels *= 1 - dark[..., None] * np.float32(rng.uniform(0.2, 0.6))

    def paste(self, rgba: np.ndarray, mask: np.ndarray, x: int, y: int) -> None:
        height, width = mask.shape
        area = np.s_[y:y + height, x:x + width]
        share = rgba[..., 3:].astype(np.float32) / 255
        self.pixels[area] += (rgba[..., :3] - self.pixels[area]) * share
        below = self.owner[area][mask]
        for index, count in enumerate(np.bincount(below[below >= 0], minlength=len(self.total)).tolist()):
            self.visible[index] -= count
        self.owner[area][mask] = len(self.total)
        self.total.append(int(mask.sum()))
        self.visible.append(self.total[-1])


def _finish(rng: np.random.Generator, pixels: np.ndarray, strong: bool) -> np.ndarray:
    """What a camera and a file format do to the whole scene."""
    if strong and rng.random() < 0.3:
        pixels = warp.recoloured(pixels, rng.normal(0, 4), rng.uniform(0.7, 1.2), rng.uniform(0.75, 1.15),
                                 rng.uniform(0.8, 1.2))
    if strong and rng.random() < 0.12:
        pixels = pixels + rng.normal(0, rng.uniform(2, 10), pixels.shape).astype(np.float32)
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    if strong and rng.random() < 0.08:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.0)))
    if rng.random() < (0.6 if strong else 0.5):
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=int(rng.integers(35 if strong else 65, 96)))
        image = Image.open(stream)
    return np.asarray(image)


def compose(rng: np.random.Generator, split: str, n_objects: int | None = None,
            allowed: tuple[int, ...] | None = None, backdrop: Image.Image | None = None, skew: float = 1.0) -> Scene:
    """One scene of `n_objects` objects (1..10 at random; fewer where they do not fit), of the `allowed` concepts
    (all that the split has), over a `backdrop` (any background of the split). With a `skew` above 1 more of them are
    small."""
    there = _pool(split)[1]
    allowed = there if allowed is None else tuple(c for c in allowed if c in there)
    if not allowed:
        raise ValueError(f"split {split!r} has no art of the concepts asked for")
    train = split == "train"
    wanted = n_objects or int(rng.integers(1, MOST_OBJECTS + 1))
    crowded = rng.random() < 0.3
    canvas = _Canvas(backdrop or background(rng, held_out=not train))
    placed: list[tuple[int, str, tuple[int, int, int, int]]] = []
    shares = rng.random(wanted) ** skew
    sizes = sorted((SMALLEST + (LARGEST - SMALLEST) * shares).tolist(), reverse=True)  # large ones first: below
    for size in sizes:
        concept = _pick(rng, split, [c for c, _, _ in placed], allowed)
        for _ in range(3):
            name, rgba = _object(rng, split, concept, size)
            mask = rgba[..., 3] >= SOLID
            at = canvas.place_for(rng, mask, crowded)
            if at:
                break
            size = max(SMALLEST, size * 0.6)
        else:
            continue
        x, y = at
        if rng.random() < (0.25 if train else 0.1):
            canvas.shade(rng, rgba, x, y)
        canvas.paste(rgba, mask, x, y)
        placed.append((concept, name, (x, y, x + mask.shape[1], y + mask.shape[0])))
    image = _finish(rng, canvas.pixels, train)
    order = rng.permutation(len(placed)).tolist()  # region numbers say nothing about size
    return Scene(image, [_described(image, canvas, index, *placed[index]) for index in order])


def _described(image: np.ndarray, canvas: _Canvas, index: int, concept: int, art_name: str,
               box: tuple[int, int, int, int]) -> Placed:
    x1, y1, x2, y2 = box
    area = np.s_[y1:y2, x1:x2]
    colour, share, clear = colours.dominant(image[area][canvas.owner[area] == index])
    known = concepts()[concept]
    return Placed(concept, known.name, known.kind, art_name, tuple(float(v) for v in box), colour, clear, round(share, 3),
                  round(canvas.visible[index] / max(1, canvas.total[index]), 3))
