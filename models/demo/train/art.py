"""Object art: packages of drawings turned into tightly cropped RGBA sprites, one cache file a set.

Which sets may be trained on is a property of the set (`ArtSet.role`) and nothing else decides it:
`for_training()` is the only way the composer gets sprites for training scenes and it never returns a test set.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Callable

import numpy as np
from PIL import Image

from concepts import Concept, concepts

LONGEST = 192  # pixels of a sprite's longest side
TRAIN, UNSEEN_ART, PHOTO = "train", "unseen-art", "photo"


def art_dir() -> Path:
    """Where `fetch_art.py` puts packages and where sprites are cached (environment variable ART)."""
    return Path(os.environ.get("ART", Path.home() / ".cache/gpt4roi-demo/art"))


class MissingArt(RuntimeError):
    """An art package is not there."""

    def __init__(self, package: str, path: Path):
        super().__init__(f"art package {package} is missing ({path}): run `python3 models/demo/train/fetch_art.py`")


@dataclass(frozen=True)
class ArtSet:
    """One independent set of drawings."""

    name: str
    role: str  # TRAIN, UNSEEN_ART or PHOTO: the split this art may be used in
    package: str
    licence: str
    draw: Callable[[Concept], list[np.ndarray]]  # all drawings of a concept, any size, RGBA


# --- reading drawings -------------------------------------------------------------------------------------------


def _npm(package: str) -> Path:
    path = art_dir() / "npm/node_modules" / package
    if not path.is_dir():
        raise MissingArt(package, path)
    return path


def _svg(text: str) -> np.ndarray:
    import resvg_py

    png = resvg_py.svg_to_bytes(svg_string=text, width=256, height=256)
    return np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGBA"))


@lru_cache(maxsize=None)
def _iconify(name: str) -> tuple[dict, dict[str, str]]:
    """An icon set's JSON and its table code points -> icon name (empty where the package has none)."""
    folder = _npm(f"@iconify-json/{name}")
    icons = json.loads((folder / "icons.json").read_text())
    chars = json.loads((folder / "chars.json").read_text())
    return icons, chars


def _icon_svg(icons: dict, name: str) -> str | None:
    """The SVG text of an icon, aliases followed."""
    alias = icons.get("aliases", {}).get(name)
    icon = icons["icons"].get(alias["parent"] if alias else name)
    if icon is None:
        return None
    size = icon.get("width", icons.get("width", 16)), icon.get("height", icons.get("height", 16))
    return f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" ' \
           f'viewBox="{icon.get("left", 0)} {icon.get("top", 0)} {size[0]} {size[1]}">{icon["body"]}</svg>'


@lru_cache(maxsize=None)
def _names(code: str) -> tuple[str, ...]:
    """Names under which icon sets know a code point: CLDR's and those of the sets that have a table."""
    cldr = json.loads((_npm("unicode-emoji-json") / "data-by-emoji.json").read_text())
    table = {"-".join(f"{ord(c):x}" for c in text if c != "\ufe0f"): entry["name"] for text, entry in cldr.items()}
    found = [table[code].lower().replace(" ", "-")] if code in table else []
    for name in ("noto", "twemoji", "fluent-emoji-flat"):
        icon = _iconify(name)[1].get(code)
        found += [icon] if icon and icon not in found else []
    return tuple(found)


def _by_char(name: str) -> Callable[[Concept], list[np.ndarray]]:
    def draw(concept: Concept) -> list[np.ndarray]:
        icons, chars = _iconify(name)
        wanted = [chars.get(code) or chars.get(f"{code}-fe0f") for code in concept.codes]
        return [_svg(text) for icon in wanted if icon and (text := _icon_svg(icons, icon))]

    return draw


def _by_name(name: str, own: dict[str, str]) -> Callable[[Concept], list[np.ndarray]]:
    """Sets without a table of code points: by the names other sets use, and by `own` (code points -> icon names,
    "" for a drawing that shows something else)."""

    def draw(concept: Concept) -> list[np.ndarray]:
        icons, _ = _iconify(name)
        plain = {icon.replace("-", ""): icon for icon in [*icons["icons"], *icons.get("aliases", {})]}
        wanted: list[str] = []
        for code in concept.codes:
            names = own[code].split() if code in own else [
                n.replace("-", "") + end for n in _names(code) for end in ("", "1", "2", "3")]
            wanted += [plain[n] for n in names if n in plain and plain[n] not in wanted]
        return [_svg(text) for icon in wanted if (text := _icon_svg(icons, icon))]

    return draw


def _fluent(concept: Concept) -> list[np.ndarray]:
    folder = _npm("@lobehub/fluent-emoji-3d") / "assets"
    paths = [next((p for p in (folder / f"{c}.webp", folder / f"{c}-fe0f.webp") if p.exists()), None)
             for c in (code if len(code) > 3 else code.zfill(4) for code in concept.codes)]
    return [np.asarray(Image.open(path).convert("RGBA")) for path in paths if path]


def _openmoji(concept: Concept) -> list[np.ndarray]:
    folder = _npm("openmoji") / "color/svg"
    paths = [next((p for p in (folder / f"{c.upper()}.svg", folder / f"{c.upper()}-FE0F.svg") if p.exists()), None)
             for c in concept.codes]
    return [_svg(path.read_text()) for path in paths if path]


from art_names import FXEMOJI, PHOTOS, STREAMLINE  # noqa: E402  (tables only)


def _photos(concept: Concept) -> list[np.ndarray]:
    folder = art_dir() / "apt/x/tuxpaint-stamps-default/usr/share/tuxpaint/stamps"
    if PHOTOS and not folder.is_dir():
        raise MissingArt("tuxpaint-stamps-default", folder)
    return [np.asarray(Image.open(folder / file).convert("RGBA")) for file in PHOTOS.get(concept.name, [])]


SETS: tuple[ArtSet, ...] = (
    ArtSet("fluent-3d", TRAIN, "npm @lobehub/fluent-emoji-3d@1.1.0", "MIT", _fluent),
    ArtSet("fluent-flat", TRAIN, "npm @iconify-json/fluent-emoji-flat@1.2.6", "MIT", _by_char("fluent-emoji-flat")),
    ArtSet("noto", TRAIN, "npm @iconify-json/noto@1.2.9", "Apache-2.0", _by_char("noto")),
    ArtSet("noto-v1", TRAIN, "npm @iconify-json/noto-v1@1.2.5", "Apache-2.0", _by_name("noto-v1", {})),
    ArtSet("twemoji", TRAIN, "npm @iconify-json/twemoji@1.2.5", "CC-BY-4.0", _by_char("twemoji")),
    ArtSet("emojitwo", TRAIN, "npm @iconify-json/emojione@1.2.3", "CC-BY-4.0", _by_name("emojione", {})),
    ArtSet("fxemoji", TRAIN, "npm @iconify-json/fxemoji@1.2.2", "Apache-2.0", _by_name("fxemoji", FXEMOJI)),
    ArtSet("streamline", TRAIN, "npm @iconify-json/streamline-emojis@1.2.4", "CC-BY-4.0",
           _by_name("streamline-emojis", STREAMLINE)),
    ArtSet("openmoji", UNSEEN_ART, "npm openmoji@17.0.0", "CC-BY-SA-4.0", _openmoji),
    ArtSet("tuxpaint", PHOTO, "Debian tuxpaint-stamps-default 2022.06.04-1", "GPL-2", _photos),
)


# --- sprites and their cache ------------------------------------------------------------------------------------


def crop(rgba: np.ndarray, threshold: int = 8) -> np.ndarray:
    """The part of a picture that is not transparent."""
    seen = rgba[..., 3] > threshold
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    if not len(rows):
        raise ValueError("an empty drawing")
    return rgba[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]


def sprite(rgba: np.ndarray) -> np.ndarray:
    """Cropped, with the longest side at `LONGEST` at most."""
    cut = crop(rgba)
    scale = LONGEST / max(cut.shape[:2])
    if scale < 1:
        size = max(1, round(cut.shape[1] * scale)), max(1, round(cut.shape[0] * scale))
        cut = crop(np.asarray(Image.fromarray(cut).resize(size, Image.Resampling.LANCZOS, reducing_gap=3)))
    return np.ascontiguousarray(cut)


def _cache_path(art: ArtSet, table: tuple[Concept, ...]) -> Path:
    wanted = repr([(c.name, c.codes, PHOTOS.get(c.name) if art.role == PHOTO else None) for c in table])
    wanted += repr((FXEMOJI, STREAMLINE)) if art.name in ("fxemoji", "streamline") else ""
    key = hashlib.sha256((art.package + wanted + str(LONGEST)).encode()).hexdigest()[:12]
    return art_dir() / "sprites" / f"{art.name}-{key}.npz"


def _render(art: ArtSet, table: tuple[Concept, ...], path: Path) -> None:
    pictures, owners = [], []
    for concept in table:
        for drawing in art.draw(concept):
            pictures.append(sprite(drawing))
            owners.append(concept.index)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part.npz")
    flat = np.concatenate([p.reshape(-1) for p in pictures]) if pictures else np.zeros(0, np.uint8)
    np.savez(part, pixels=flat, shapes=np.array([p.shape[:2] for p in pictures], np.int32).reshape(-1, 2),
             owners=np.array(owners, np.int32))
    part.replace(path)


@lru_cache(maxsize=None)
def load(name: str) -> dict[int, list[np.ndarray]]:
    """Sprites of the set `name` by concept index; renders them the first time."""
    art = next((s for s in SETS if s.name == name), None)
    if art is None:
        raise KeyError(f"no art set {name!r}; there are {', '.join(s.name for s in SETS)}")
    path = _cache_path(art, concepts())
    if not path.exists():
        _render(art, concepts(), path)
    with np.load(path) as stored:
        pixels, shapes, owners = stored["pixels"], stored["shapes"], stored["owners"]
    found: dict[int, list[np.ndarray]] = {}
    start = 0
    for (height, width), owner in zip(shapes.tolist(), owners.tolist()):
        end = start + height * width * 4
        found.setdefault(owner, []).append(pixels[start:end].reshape(height, width, 4))
        start = end
    return found


def for_role(role: str) -> tuple[ArtSet, ...]:
    """The sets of a role."""
    return tuple(s for s in SETS if s.role == role)


def for_training() -> dict[str, dict[int, list[np.ndarray]]]:
    """Sprites that may be trained on, by set name."""
    return {s.name: load(s.name) for s in for_role(TRAIN)}
