"""Names of colours: the dominant colour of a set of pixels and whether it is beyond doubt."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

NAMES = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "grey")
_OTHER = len(NAMES)  # beige and other tones that people name in several ways
_BITS = 5
_BLACK_WEIGHT = 0.6  # drawn outlines are black and are not what people call the colour of a thing


def _hsv(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hue in degrees, saturation and value in 0..1."""
    top, low = rgb.max(-1), rgb.min(-1)
    chroma = top - low
    safe = np.where(chroma > 0, chroma, 1)
    r, g, b = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    hue = np.where(top == r, (g - b) / safe % 6, np.where(top == g, (b - r) / safe + 2, (r - g) / safe + 4))
    return hue * 60, np.where(top > 0, chroma / np.where(top > 0, top, 1), 0), top


def _classify(hue: np.ndarray, sat: np.ndarray, val: np.ndarray) -> np.ndarray:
    """Index into NAMES (or _OTHER) of each colour."""
    hue = hue % 360
    index = NAMES.index
    name = np.select(
        [hue < 13, hue < 40, hue < 66, hue < 168, hue < 255, hue < 298, hue < 344],
        [index(n) for n in ("red", "orange", "yellow", "green", "blue", "purple", "pink")], index("red"))
    reddish = (hue < 15) | (hue >= 340)
    name = np.where(reddish & (sat < 0.52) & (val > 0.72), index("pink"), name)
    name = np.where((name == index("pink")) & (val < 0.5), index("purple"), name)
    tan = (hue >= 10) & (hue < 46)
    name = np.where(tan & (val < 0.7), index("brown"), name)
    name = np.where(tan & (val >= 0.7) & (sat < 0.48), _OTHER, name)
    name = np.where(reddish & (val < 0.42), index("brown"), name)
    name = np.where((hue >= 46) & (hue < 66) & (val < 0.55), _OTHER, name)
    dull = (sat < 0.13) | (sat * val < 0.09) | ((sat < 0.2) & (val > 0.93))
    dull_name = np.select([val > 0.84, val < 0.27], [index("white"), index("black")], index("grey"))
    name = np.where(dull, dull_name, name)
    return np.where((val < 0.2) | ((val < 0.3) & (sat < 0.4)), index("black"), name)


@lru_cache(maxsize=None)
def _table() -> np.ndarray:
    """Share of each name by quantised RGB: colours near a border count for both sides."""
    steps = (np.arange(1 << _BITS) + 0.5) / (1 << _BITS)
    cube = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    hue, sat, val = _hsv(cube)
    shares = np.zeros((len(cube), len(NAMES) + 1), np.float32)
    rows = np.arange(len(cube))
    for dh in (-5, 0, 5):
        for ds in (-0.05, 0, 0.05):
            for dv in (-0.06, 0, 0.06):
                shares[rows, _classify(hue + dh, np.clip(sat + ds, 0, 1), np.clip(val + dv, 0, 1))] += 1
    return shares / shares.sum(1, keepdims=True)


def dominant(pixels: np.ndarray) -> tuple[str, float, bool]:
    """(name, its share, whether it is clear) of RGB pixels [n, 3] of type uint8."""
    quantised = (pixels >> (8 - _BITS)).astype(np.int32)
    index = (quantised[:, 0] << 2 * _BITS) | (quantised[:, 1] << _BITS) | quantised[:, 2]
    if len(index) == 0:
        return "grey", 0.0, False
    counts = np.bincount(index, minlength=1 << 3 * _BITS)
    used = np.flatnonzero(counts)
    shares = counts[used] @ _table()[used]
    shares[NAMES.index("black")] *= _BLACK_WEIGHT
    shares /= max(float(shares.sum()), 1e-6)
    order = np.argsort(-shares[:_OTHER])
    first, second = float(shares[order[0]]), max(float(shares[order[1]]), float(shares[_OTHER]))
    return NAMES[int(order[0])], first, first >= 0.5 and first >= 2 * second
