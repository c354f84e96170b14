"""Backgrounds for composed scenes: pictures from free packages and procedural patterns.

A tenth of the pictures is held out: those are for test splits only and no training scene ever shows them.
"""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from art import MissingArt, art_dir

SIDE = 224  # of a scene
SHORTEST = 420  # of a stored picture
HELD_OUT_SEED = 20
HELD_OUT_SHARE = 0.1

# package -> (licence as the package states it, folder, pictures). Pictures that are mostly one object of the concept
# table are left out.
PACKAGES: dict[str, tuple[str, str, str]] = {
    "gnome-backgrounds": ("CC-BY-SA-3.0, CC-BY-SA-2.0, CC-BY-2.0", "usr/share/backgrounds/gnome", """
        pixels-l.webp adwaita-l.webp truchet-l.webp licorice-l.webp
        wood-l.webp truchet-d.webp grid-l.webp symbolic-l.webp"""),
    "lomiri-wallpapers-16.04": ("CC-BY-4.0, CC-BY-SA-3.0, CC-BY-SA-4.0, CC0-1.0", "usr/share/backgrounds", """
        Picture_1A_by_freespace.jpg greentock_by_Peter_Nerlich.jpg seeding_by_Clements_Engelhardt.jpg
        aitzgorri_by_Aitzol_Berasategi.jpg Dragonfly_by_Bolly.jpg sunset_by_Aitzol_Berasategi.jpg
        picosdeeuropa_by_Aitzol_Berasategi.jpg umang_by_Abhishek_Mudgal.jpg life_by_Aitzol_Berasategi.jpg
        analogpattern_by_Peter_Nerlich.jpg Bridge_by_Sander_Klootwijk.jpg free_by_Peter_Nerlich.jpg"""),
    "lomiri-wallpapers-20.04": ("CC-BY-4.0, CC-BY-SA-4.0, CC0-1.0", "usr/share/backgrounds", """
        Fossa_by_Jasper_Roks.jpg Kleiber_by_Lukas_Baubkus.jpg Infinite-Sea_by_Aury88.jpg
        Painting-Colors_by__herobrine7gamer.jpg"""),
    "mate-backgrounds": ("GPL-2+, CC-BY-SA-4.0", "usr/share/backgrounds/mate", """
        desktop/Stripes.png desktop/Ubuntu-Mate-Radioactive-no-logo.png desktop/Ubuntu-Mate-Warm-no-logo.png
        desktop/Ubuntu-Mate-Cold-no-logo.png desktop/Float-into-MATE.png abstract/Gulp.png abstract/Flow.png
        abstract/Elephants.jpg nature/Garden.jpg nature/Dune.jpg nature/Wood.jpg nature/Aqua.jpg nature/TwoWings.jpg
        nature/Storm.jpg nature/GreenMeadow.jpg nature/RainDrops.jpg nature/Blinds.jpg nature/FreshFlower.jpg"""),
    "opencv-doc": ("Apache-2.0, BSD-3-Clause", "usr/share/doc/opencv-doc/examples", """
        alphamat/input_images/plant.jpg data/leuvenA.jpg data/aloeL.jpg
        data/board.jpg data/starry_night.jpg data/rubberwhale1.png data/graf1.png data/aero1.jpg
        data/building.jpg data/stuff.jpg data/home.jpg data/imageTextN.png"""),
    "plasma-workspace-wallpapers": ("LGPL-3, CC-BY-SA-4.0; package GPL-2+", "usr/share/wallpapers", """
        Altai/contents/images/5120x2880.png IceCold/contents/images/5120x2880.png Flow/contents/images/5120x2880.jpg
        Kay/contents/images/5120x2880.png Opal/contents/images/3840x2160.png
        Path/contents/images/2560x1600.jpg DarkestHour/contents/images/2560x1600.jpg
        Patak/contents/images/5120x2880.png Volna/contents/images/5120x2880.jpg Autumn/contents/images/2560x1600.jpg
        summer_1am/contents/images/2560x1600.jpg PastelHills/contents/images/3200x2000.jpg
        EveningGlow/contents/images/2560x1600.jpg Grey/contents/images/2560x1600.jpg
        Canopee/contents/images/3840x2160.png Cascade/contents/images/3840x2160.png
        Kite/contents/images/2560x1600.jpg ColorfulCups/contents/images/2560x1600.jpg
        OneStandsOut/contents/images/2560x1600.jpg ColdRipple/contents/images/2560x1600.jpg
        Elarun/contents/images/2560x1600.png Honeywave/contents/images/5120x2880.jpg
        Kokkini/contents/images/3840x2160.png Shell/contents/images/5120x2880.jpg
        Cluster/contents/images/3840x2160.png BytheWater/contents/images/2560x1600.jpg"""),
    "ukui-wallpapers": ("CC-BY-SA-3.0", "usr/share/backgrounds", """
        fluent-color.png string.jpg rollpaper.png city.png rhythm.jpg desert.png 2004default.jpg"""),
    "scikit-image": ("BSD-3-Clause", "skimage/data", """
        gravel.png brick.png grass.png rocket.jpg text.png hubble_deep_field.jpg ihc.png"""),
    "scikit-learn": ("CC-BY-2.0", "sklearn/datasets/images", "china.jpg flower.jpg"),
}


def sources() -> list[tuple[str, str, Path]]:
    """(package, licence, file) of every picture."""
    found = []
    for package, (licence, folder, names) in PACKAGES.items():
        root = art_dir() / "apt/x" / package
        if package == "scikit-learn":
            root = art_dir() / "wheels/scikit-learn"
        elif package == "scikit-image":
            root = art_dir() / "wheels/scikit-image"
        found += [(package, licence, root / folder / name) for name in names.split()]
    return found


def _stored() -> Path:
    wanted = [(package, folder, names.split()) for package, (_, folder, names) in PACKAGES.items()]
    key = hashlib.sha256(repr((wanted, SHORTEST)).encode()).hexdigest()[:12]
    return art_dir() / "sprites" / f"backgrounds-{key}.npz"


def _shrink(path: Path, package: str) -> np.ndarray:
    if not path.exists():
        raise MissingArt(package, path)
    picture = Image.open(path)
    picture.draft("RGB", (2 * SHORTEST, 2 * SHORTEST))
    picture = picture.convert("RGB")
    scale = SHORTEST / min(picture.size)
    if scale < 1:
        size = tuple(min(round(side * scale), 2 * SHORTEST) for side in picture.size)
        picture = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3)
    return np.asarray(picture)


@lru_cache(maxsize=None)
def pictures() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """(for training, held out), as RGB arrays."""
    path = _stored()
    if not path.exists():
        shrunk = [_shrink(file, package) for package, _, file in sources()]
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part.npz")
        np.savez(part, **{f"{i:04}": picture for i, picture in enumerate(shrunk)})
        part.replace(path)
    with np.load(path) as stored:
        everything = [stored[name] for name in sorted(stored.files)]
    order = np.random.default_rng(HELD_OUT_SEED).permutation(len(everything))
    held_out = set(order[: round(HELD_OUT_SHARE * len(everything))].tolist())
    train = [picture for i, picture in enumerate(everything) if i not in held_out]
    return train, [everything[i] for i in sorted(held_out)]


# --- drawing one ------------------------------------------------------------------------------------------------


def _crop(rng: np.random.Generator, picture: np.ndarray) -> Image.Image:
    height, width = picture.shape[:2]
    side = min(height, width) * rng.uniform(0.35, 1.0)
    left, top = rng.uniform(0, width - side), rng.uniform(0, height - side)
    image = Image.fromarray(picture)
    image = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side),
                         reducing_gap=2)
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if rng.random() < 0.1:
        image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    return image


def _colours(rng: np.random.Generator, count: int) -> np.ndarray:
    base = rng.uniform(0, 255, (1, 3))
    return np.clip(base + rng.normal(0, rng.choice([20, 60, 120]), (count, 3)), 0, 255)


def _noise(rng: np.random.Generator) -> np.ndarray:
    """Smooth noise of several octaves, 0..1."""
    total = np.zeros((SIDE, SIDE), np.float32)
    weight, size = 1.0, int(rng.integers(2, 7))
    fade = rng.uniform(0.3, 0.8)
    for _ in range(int(rng.integers(1, 6))):
        grid = Image.fromarray(rng.random((size, size)).astype(np.float32))
        total += weight * np.asarray(grid.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
        weight, size = weight * fade, min(size * 2, SIDE)
    total -= total.min()
    return total / max(float(total.max()), 1e-6)


def pattern(rng: np.random.Generator) -> Image.Image:
    """Gradients, noise, stripes, checks, dots, plain colour."""
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / SIDE
    angle = rng.uniform(0, np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    across = -x * np.sin(angle) + y * np.cos(angle)
    kind = rng.choice(["plain", "gradient", "noise", "noise", "stripes", "checks", "dots", "radial"])
    waves = rng.uniform(3, 20)
    if kind == "plain":
        mix = np.zeros_like(x)
    elif kind == "gradient":
        mix = (along - along.min()) / (along.max() - along.min())
    elif kind == "noise":
        mix = _noise(rng)
    elif kind == "stripes":
        mix = np.clip(0.5 + rng.uniform(0.6, 8) * np.sin(2 * np.pi * waves * along), 0, 1)
    elif kind == "checks":
        mix = ((np.floor(waves * along) + np.floor(waves * across)) % 2).astype(np.float32)
    elif kind == "dots":
        mix = np.clip(4 * (np.sin(2 * np.pi * waves * along) * np.sin(2 * np.pi * waves * across) - 0.3), 0, 1)
    else:
        centre = rng.random(2)
        mix = np.clip(np.hypot(x - centre[0], y - centre[1]) / rng.uniform(0.4, 1.2), 0, 1)
    first, second = _colours(rng, 2)
    pixels = first + (second - first) * mix[..., None]
    if rng.random() < 0.5:
        pixels = pixels + (_noise(rng)[..., None] - 0.5) * rng.uniform(10, 60)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def background(rng: np.random.Generator, held_out: bool) -> Image.Image:
    """A 224x224 background: three in four a piece of a picture (of the held-out ones where asked), else a pattern."""
    if rng.random() < 0.75:
        pool = pictures()[1 if held_out else 0]
        image = _crop(rng, pool[int(rng.integers(len(pool)))])
    else:
        image = pattern(rng)
    if rng.random() < 0.4:
        image = ImageEnhance.Brightness(image).enhance(rng.uniform(0.6, 1.3))
    if rng.random() < 0.3:
        image = ImageEnhance.Color(image).enhance(rng.uniform(0.0, 1.5))
    if rng.random() < 0.3:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 4)))
    return image
