"""Many examples behind shared prefixes, in one batch.

A prefix (system text and picture) is computed once for all examples about its picture; an example is
a row of its own that sees its prefix and itself, at the positions that it would have alone.
"""
from dataclasses import dataclass

import torch

from prompts import N_PATCHES

ALIKE = 0.7  # shortest row of a pack, as a share of the longest


@dataclass
class Pack:
    """Rows of about one length, padded to `[n, length]`: the cell of each of their tokens, the prefix of each row, and
    the additive mask [length, P + length] (all of the prefix, and what came before)."""
    n: int
    length: int
    cells: torch.Tensor
    owner: torch.Tensor
    mask: torch.Tensor


class Batch:
    """Tokens of all examples, one after the other, with what the model needs to place and judge them."""

    def __init__(self, tokenizer, prefix, examples, owners, with_image):
        """`examples` with the scene of each in `owners`. Without the image, the prefix is one for
        all and lacks the picture's positions, but everything keeps its place. Targets are in the examples' order."""
        bbox = tokenizer.added["<bbox>"]
        first = prefix.index(tokenizer.added["<im_patch>"])
        kept = [i for i in range(len(prefix)) if with_image or not first <= i < first + N_PATCHES]
        self.prefix_ids = torch.tensor([prefix[i] for i in kept])
        self.prefix_positions = torch.tensor(kept)
        self.prefix_mask = causal(len(kept))
        self.image_at = first if with_image else None
        self.packs, self.regions = [], []
        ids, positions, targets = [], [], [[] for _ in examples]
        for rows in packs([len(e.ids) for e in examples]):
            length, cells = len(examples[rows[0]].ids), []
            for row, index in enumerate(rows):
                e = examples[index]
                objects = iter(e.objects)
                for i, token in enumerate(e.ids):
                    if token == bbox:
                        self.regions.append((len(ids), next(objects)))
                    if i >= e.n_prompt:
                        targets[index].append((len(ids) - 1, token))
                    ids.append(token)
                    positions.append(len(prefix) + i)
                    cells.append(row * length + i)
            owner = torch.tensor([owners[i] if with_image else 0 for i in rows])
            mask = torch.cat([torch.zeros(length, len(kept)), causal(length)], 1)
            self.packs.append(Pack(len(rows), length, torch.tensor(cells), owner, mask))
        self.ids, self.positions = torch.tensor(ids), torch.tensor(positions)
        self.target_at = torch.tensor([at for own in targets for at, _ in own])
        self.targets = torch.tensor([token for own in targets for _, token in own])


def packs(lengths):
    """Indices of rows by length, the longest first, cut where padding would cost too much."""
    out = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if not out or lengths[i] < ALIKE * lengths[out[-1][0]]:
            out.append([])
        out[-1].append(i)
    return out


def causal(n):
    hidden = torch.ones(n, n, dtype=torch.bool).triu(1)
    return torch.zeros(n, n).masked_fill(hidden, float("-inf"))
