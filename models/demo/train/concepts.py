"""The object concepts that the demo model knows.

The table is `concepts.txt`; it was curated by how well independent *training* art sets agree with each other
(never by looking at a test set), then by eye.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

TABLE = Path(__file__).with_name("concepts.txt")


@dataclass(frozen=True)
class Concept:
    """One kind of object: what it is called and which emoji draw it."""

    index: int
    name: str
    kind: str  # supercategory
    codes: tuple[str, ...]  # code points, lower-case hex, "-" between the parts of a sequence


@lru_cache(maxsize=None)
def concepts(table: Path = TABLE) -> tuple[Concept, ...]:
    """All concepts in the order of the table; `index` counts them."""
    found: list[Concept] = []
    for number, line in enumerate(table.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = [field.strip() for field in line.split("|")]
        if len(fields) != 3 or not all(fields):
            raise ValueError(f"{table}:{number}: expected 'name | supercategory | code points'")
        name, kind, codes = fields
        found.append(Concept(len(found), name, kind, tuple(codes.split())))
    names = [concept.name for concept in found]
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"{table}: named twice: {', '.join(twice)}")
    return tuple(found)


def by_name() -> dict[str, Concept]:
    """Concepts by their names."""
    return {concept.name: concept for concept in concepts()}
