"""Changes to a sprite that keep what it shows: mild ones for every split, strong ones for training only."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageChops, ImageFilter

_RGB_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_YIQ_TO_RGB = np.linalg.inv(_RGB_TO_YIQ)


# --- shape ------------------------------------------------------------------------------------------------------


def scaled(sprite: np.ndarray, longest: float, stretch: float = 1.0) -> Image.Image:
    """The sprite with its longest side at `longest` pixels; `stretch` makes it wider (>1) or taller (<1)."""
    height, width = sprite.shape[0] / stretch**0.5, sprite.shape[1] * stretch**0.5
    scale = longest / max(height, width)
    size = max(4, round(width * scale)), max(4, round(height * scale))
    return Image.fromarray(sprite).resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)


def turned(image: Image.Image, degrees: float) -> Image.Image:
    return image.rotate(degrees, Image.Resampling.BICUBIC, expand=True)


def bent(rng: np.random.Generator, image: Image.Image, strength: float) -> Image.Image:
    """An elastic warp: the nodes of a 4x4 grid are moved by up to `strength` of the size."""
    cells = 3
    width, height = image.size
    xs, ys = np.meshgrid(np.linspace(0, width, cells + 1), np.linspace(0, height, cells + 1))
    moved_x = xs + rng.uniform(-strength, strength, xs.shape) * width
    moved_y = ys + rng.uniform(-strength, strength, ys.shape) * height
    mesh = []
    for row in range(cells):
        for column in range(cells):
            target = (round(xs[row, column]), round(ys[row, column]),
                      round(xs[row + 1, column + 1]), round(ys[row + 1, column + 1]))
            corners = [(row, column), (row + 1, column), (row + 1, column + 1), (row, column + 1)]
            mesh.append((target, [v for at in corners for v in (moved_x[at], moved_y[at])]))
    return image.transform(image.size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)


# --- lines ------------------------------------------------------------------------------------------------------


def inner_edges(sprite: np.ndarray) -> np.ndarray:
    """Strength of colour edges inside a drawing and of its border, uint8."""
    soft = np.asarray(Image.fromarray(sprite).filter(ImageFilter.GaussianBlur(1.2)), np.int16)
    premultiplied = soft[..., :3] * soft[..., 3:] // 255
    strength = np.zeros(sprite.shape[:2], np.int16)
    across = np.abs(np.diff(premultiplied, axis=1)).max(-1)
    down = np.abs(np.diff(premultiplied, axis=0)).max(-1)
    strength[:, 1:] = across
    strength[1:] = np.maximum(strength[1:], down)
    return np.clip(strength * 4, 0, 255).astype(np.uint8)


def _grown(mask: Image.Image, radius: float) -> Image.Image:
    """A mask made larger by about `radius` pixels, with soft edges."""
    return mask.filter(ImageFilter.BoxBlur(radius)).point([min(255, 5 * v) for v in range(256)])


def outlined(rng: np.random.Generator, sprite: np.ndarray, edges: np.ndarray, longest: float) -> np.ndarray:
    """A dark stroke around the drawing and, mostly, along its inner edges, as in comics; for an object that will be
    `longest` pixels large."""
    share = min(1.0, max(48.0, 1.3 * longest) / max(sprite.shape[:2]))
    if share < 0.9:
        size = max(8, round(sprite.shape[1] * share)), max(8, round(sprite.shape[0] * share))
        sprite = np.asarray(Image.fromarray(sprite).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))
        edges = np.asarray(Image.fromarray(edges).resize(size, Image.Resampling.BILINEAR))
    radius = rng.uniform(0.006, 0.022) * max(sprite.shape[:2])  # half a stroke: outside, and as much inside
    pad = int(2 * radius) + 2
    alpha = Image.fromarray(np.pad(sprite[..., 3], pad))
    outer = _grown(alpha, 1.3 * radius)
    stroke = ImageChops.multiply(outer, _grown(ImageChops.invert(alpha), radius))
    if rng.random() < 0.7:
        lines = Image.fromarray(np.pad(edges, pad)).point([255 * (v > 90) for v in range(256)])
        stroke = ImageChops.lighter(stroke, _grown(lines, 0.4 * radius))
    ink = np.clip(rng.uniform(0, 45) + rng.uniform(-10, 10, 3), 0, 255)
    share_of_ink = np.asarray(stroke, np.float32)[..., None] * np.float32(rng.uniform(0.8, 1.0) / 255)
    body = np.pad(sprite, ((pad, pad), (pad, pad), (0, 0)))
    rgb = np.where(body[..., 3:] > 0, body[..., :3], ink)
    rgb = rgb + (ink - rgb) * share_of_ink
    alpha = np.maximum(body[..., 3], np.asarray(outer))
    return np.concatenate([rgb, alpha[..., None]], -1).astype(np.uint8)


def haloed(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """A border in one light colour, as stickers have it."""
    width = 2 * int(rng.integers(1, 3)) + 1
    grown = Image.new("RGBA", (image.width + 2 * width, image.height + 2 * width))
    grown.paste(image, (width, width))
    border = grown.getchannel("A").filter(ImageFilter.MaxFilter(width))
    light = tuple(int(v) for v in rng.integers(200, 256, 3)) if rng.random() < 0.4 else (255, 255, 255)
    backing = Image.new("RGBA", grown.size, light + (255,))
    backing.putalpha(border)
    return Image.alpha_composite(backing, grown)


# --- colour -----------------------------------------------------------------------------------------------------


def recoloured(rgb: np.ndarray, hue: float, saturation: float, brightness: float, contrast: float) -> np.ndarray:
    """Hue turned by degrees, the others as factors; float pixels in and out."""
    angle = np.deg2rad(hue)
    turn = np.array([[1, 0, 0],
                     [0, saturation * np.cos(angle), -saturation * np.sin(angle)],
                     [0, saturation * np.sin(angle), saturation * np.cos(angle)]])
    matrix = (_YIQ_TO_RGB @ turn @ _RGB_TO_YIQ * (brightness * contrast)).astype(np.float32)
    return rgb @ matrix.T + np.float32(128 * (1 - contrast))


def strong_colour(rng: np.random.Generator, rgb: np.ndarray) -> np.ndarray:
    """Colour changes of training; most drawings stay near their natural colours."""
    draw = rng.random()
    hue = rng.normal(0, 7) if draw < 0.7 else rng.normal(0, 22) if draw < 0.92 else rng.uniform(-180, 180)
    draw = rng.random()
    saturation = rng.uniform(0.75, 1.35) if draw < 0.85 else rng.uniform(0.15, 0.75) if draw < 0.96 else 0.0
    rgb = recoloured(rgb, hue, saturation, rng.uniform(0.75, 1.2), rng.uniform(0.75, 1.3))
    if rng.random() < 0.25:  # light from a side
        height, width = rgb.shape[:2]
        slope = rng.uniform(-0.3, 0.3, 2)
        light = 1 + slope[0] * np.linspace(-1, 1, width) + slope[1] * np.linspace(-1, 1, height)[:, None]
        rgb = rgb * light[..., None].astype(np.float32)
    if rng.random() < 0.12:  # fewer shades
        step = rng.choice([32, 48, 64, 85])
        rgb = np.round(rgb / step) * step
    if rng.random() < 0.15:
        rgb = rgb + rng.normal(0, rng.uniform(2, 12), rgb.shape).astype(np.float32)
    return rgb


def flattened(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """A few flat colours, as in flat design."""
    alpha = image.getchannel("A")
    flat = image.convert("RGB").quantize(int(rng.integers(5, 10)), Image.Quantize.MEDIANCUT, dither=0).convert("RGBA")
    flat.putalpha(alpha)
    return flat
