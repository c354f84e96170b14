#!/usr/bin/env python3
"""Compares the tensors of two GGUF files by name: type, shape and raw bytes.

    compare_gguf.py A.gguf B.gguf

Prints what differs and a count by type; exit status 1 if anything does.
"""

import sys
from collections import Counter

import numpy as np
from gguf import GGUFReader

CHUNK = 64 << 20


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    a, b = ({t.name: t for t in GGUFReader(path).tensors} for path in sys.argv[1:])
    problems = [f"{name}: only in one file" for name in sorted(a.keys() ^ b.keys())]
    same = Counter()
    for name in sorted(a.keys() & b.keys()):
        problem = difference(a[name], b[name])
        if problem:
            problems.append(f"{name}: {problem}")
        else:
            same[a[name].tensor_type.name] += 1
    for problem in problems:
        print(problem)
    types = ", ".join(f"{n} {name}" for name, n in same.most_common())
    print(f"{sum(same.values())} of {len(a.keys() | b.keys())} tensors identical ({types})")
    return 1 if problems else 0


def difference(a, b) -> str | None:
    if a.tensor_type != b.tensor_type:
        return f"type {a.tensor_type.name} against {b.tensor_type.name}"
    if list(a.shape) != list(b.shape):
        return f"shape {list(a.shape)} against {list(b.shape)}"
    left, right = a.data.reshape(-1).view(np.uint8), b.data.reshape(-1).view(np.uint8)
    n_different = sum(
        int(np.count_nonzero(left[i : i + CHUNK] != right[i : i + CHUNK])) for i in range(0, len(left), CHUNK)
    )
    return f"{n_different} of {len(left)} bytes differ" if n_different else None


if __name__ == "__main__":
    sys.exit(main())
