"""Writes scenes as pictures and `annotations.json` in the style of COCO."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Iterable

from PIL import Image

from art import SETS
from backgrounds import SIDE
from concepts import concepts
from scenes import Placed, Scene


def file_name(number: int) -> str:
    """Where picture `number` lies inside a data set's folder."""
    return f"images/{number:06}.png"


def _categories() -> list[dict]:
    return [{"id": c.index + 1, "name": c.name, "supercategory": c.kind} for c in concepts()]


def annotation(placed: Placed, number: int, image: int) -> dict:
    """One object; category ids count from 1, as COCO's do."""
    x1, y1, x2, y2 = placed.box
    return {
        "id": number,
        "image_id": image,
        "category_id": placed.concept + 1,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": (x2 - x1) * (y2 - y1),
        "iscrowd": 0,
        "attributes": {
            "colour": placed.colour,
            "colour_clear": placed.colour_clear,
            "art": placed.art,
            "visible": placed.visible,
        },
    }


def write(folder: Path, scenes: Iterable[Scene], description: str) -> int:
    """Writes all scenes, numbered from 0 in their order; how many there were."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    images, annotations, used = [], [], set()
    for number, scene in enumerate(scenes):
        Image.fromarray(scene.image).save(folder / file_name(number))
        images.append({"id": number, "file_name": file_name(number), "width": SIDE, "height": SIDE})
        for placed in scene.objects:
            annotations.append(annotation(placed, len(annotations) + 1, number))
            used.add(placed.art)
    licences = [{"id": i + 1, "name": f"{s.name}: {s.licence}", "url": "", "package": s.package}
                for i, s in enumerate(s for s in SETS if s.name in used)]
    (folder / "annotations.json").write_text(json.dumps({
        "info": {"description": description, "version": "1"},
        "licenses": licences,
        "images": images,
        "categories": _categories(),
        "annotations": annotations,
    }) + "\n")
    return len(images)
