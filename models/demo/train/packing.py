"""Many examples behind shared prefixes, in one batch.

A prefix (system text and picture) is computed once for all examples about its picture; an example is
a row of its own that sees its prefix and itself, at the positions that it would have alone.
"""
import torch

from prompts import N_PATCHES


class Batch:
    """Rows of examples, padded to `[N, L]`, with what the model needs to place and judge them."""

    def __init__(self, tokenizer, prefix, examples, owners, with_image):
        """`examples` with the scene of each in `owners`. Without the image, the prefix is one for
        all and lacks the picture's positions, but everything keeps its place."""
        bbox = tokenizer.added["<bbox>"]
        first = prefix.index(tokenizer.added["<im_patch>"])
        kept = [i for i in range(len(prefix)) if with_image or not first <= i < first + N_PATCHES]
        self.prefix_ids = torch.tensor([prefix[i] for i in kept])
        self.prefix_positions = torch.tensor(kept)
        self.image_at = first if with_image else None
        self.owner = torch.tensor(owners) if with_image else torch.zeros(len(owners), dtype=torch.long)
        self.length = max(len(e.ids) for e in examples)
        self.n_rows = len(examples)
        self.positions = torch.arange(len(prefix), len(prefix) + self.length)
        ids, cells, self.regions, targets = [], [], [], []
        for row, e in enumerate(examples):
            objects = iter(e.objects)
            for i, token in enumerate(e.ids):
                if token == bbox:
                    self.regions.append((len(ids), next(objects)))
                if i >= e.n_prompt:
                    targets.append((len(ids) - 1, token))
                ids.append(token)
                cells.append(row * self.length + i)
        self.ids, self.cells = torch.tensor(ids), torch.tensor(cells)
        self.target_at = torch.tensor([at for at, _ in targets])
        self.targets = torch.tensor([token for _, token in targets])

    def prefix_mask(self):
        """Additive, `[P, P]`: what came before."""
        return causal(len(self.prefix_ids))

    def mask(self):
        """Additive, `[L, P + L]`: all of the prefix, and what came before."""
        return torch.cat([torch.zeros(self.length, len(self.prefix_ids)), causal(self.length)], 1)


def causal(n):
    hidden = torch.ones(n, n, dtype=torch.bool).triu(1)
    return torch.zeros(n, n).masked_fill(hidden, float("-inf"))
