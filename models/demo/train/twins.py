"""The heads that find a region like another learn what real region vectors are like.

    python twins.py --work WORK      # WORK/recognised.pt, WORK/symbols.pt -> WORK/twins.pt

`scaffold.py` made them for clean symbols. What regions look like once the extractor and the units of recognise.py have had
their say is as telling (an earlier region of the same kind is told from others in 99%), but louder: a region is then most like
itself, and its heads rest there. Two minutes of training on nothing but where they look set that right. What comes of it is
read by layers that are trained afterwards.
"""
import argparse
from pathlib import Path

import numpy as np
import torch

import questions
import train
from concepts import concepts
from model import rope
from packing import Batch
from prompts import examples, shared_prefix
from recognise import LARGEST, open_stage
from scaffold import head
from symbolic import SymbolicScene, boxes_of
from training import jittered, save_state

LAYER, HEADS = 2, (0, 1)  # scaffold.TWINS
BATCHES, SCENES = 74, 8  # looked at; every fifth batch with pictures in front
ASKED = {"same": 5, "larger": 2, "captions": 1, "pointing": 1, "caption": 1}
STEPS, LR = 500, 1e-3
WITH, WITHOUT = 16, 24  # regions of a step that have a twin, and that have none


class Found(Exception):
    """Ends a forward pass."""


class Looker:
    """What the heads see: for each region the normed vectors up to it, their rotations, and where its twins are."""

    def __init__(self, model, tokenizer, features):
        self.model, self.tokenizer, self.features = model, tokenizer, features
        self.prefix, self.names = shared_prefix(tokenizer), [c.name for c in concepts()]
        self.block = model.model.layers[LAYER]

    def inputs(self, batch, regions, row_of, images):
        """The layer's normed input [tokens, H], and the rotations of its positions."""
        found = {}
        def note(_, args):
            found["x"], found["at"] = args
            raise Found
        hook = self.block.self_attn.register_forward_pre_hook(note)
        try:
            self.model(batch, regions, row_of, images)
        except Found:
            pass
        hook.remove()
        return found["x"], found["at"].turn

    @torch.no_grad()
    def some(self, rng, with_image):
        indices = rng.choice(len(self.features), SCENES, replace=False)
        scenes = [SymbolicScene(self.names, questions.sample(rng, self.features.objects[i], int(rng.integers(2, 11))))
                  for i in indices]
        objects = [o for scene in scenes for o in scene.objects]
        holders = torch.tensor([k for k, scene in enumerate(scenes) for _ in scene.objects])
        boxes, states = jittered(rng, boxes_of(objects)), self.features.states(indices)
        regions = self.model.extractor.roi_align(self.model.contents(states, boxes, holders, LARGEST), boxes)
        asked = [(k, train.TASKS[task](rng, scene)) for k, scene in enumerate(scenes)
                 for task, n in ASKED.items() for _ in range(n)]
        made = [(k, e) for k, d in asked if d for e in examples(self.tokenizer, self.prefix, d)[:1]]
        batch = Batch(self.tokenizer, self.prefix, [e for _, e in made], [k for k, _ in made], with_image)
        images = self.model.model.mm_projector(states[-1]) if with_image else None
        x, turn = self.inputs(batch, regions, {id(o): i for i, o in enumerate(objects)}, images)
        return list(self.rows(batch, x, turn, len(scenes) if with_image else 1))

    def rows(self, batch, x, turn, n_prefixes):
        """One of each region. Examples begin where positions do."""
        n = len(batch.prefix_ids)
        starts = (batch.positions == batch.positions.min()).nonzero().flatten().tolist() + [len(batch.ids)]
        owners = torch.cat([pack.owner for pack in batch.packs]).tolist()
        for owner, start, end in zip(owners, starts, starts[1:]):
            seen = []
            for at, o in (r for r in batch.regions if start <= r[0] < end):
                keys = torch.cat([torch.arange(owner * n, (owner + 1) * n),
                                  torch.arange(n_prefixes * n + start, n_prefixes * n + at + 1)])
                twins = [n + before - start for before, other in seen if other.name == o.name]
                yield x[keys], turn[0][keys], turn[1][keys], twins
                seen.append((at, o))


def likely(rows, query, key):
    """Log-probability that the last vector of each row looks at a twin, or at the first token where there is none."""
    n, most = len(rows), max(len(x) for x, *_ in rows)
    padded = lambda i: torch.nn.utils.rnn.pad_sequence([row[i] for row in rows], batch_first=True)
    x, cos, sin = (padded(i) for i in range(3))
    last = torch.tensor([len(row[0]) - 1 for row in rows])
    wanted = torch.zeros(n, most, dtype=torch.bool)
    for i, (*_, twins) in enumerate(rows):
        wanted[i, twins or [0]] = True
    each = torch.arange(n)
    q = rope((x[each, last] @ query.T)[:, None], (cos[each, last], sin[each, last]))[:, 0]
    k = rope((x @ key.T).flatten(0, 1)[:, None], (cos.flatten(0, 1), sin.flatten(0, 1))).view(n, most, -1)
    score = torch.einsum("nlh,nh->nl", k, q) / q.shape[-1] ** 0.5
    score = score.masked_fill(torch.arange(most) > last[:, None], float("-inf"))
    return score.log_softmax(1).masked_fill(~wanted, float("-inf")).logsumexp(1)


def fit(rng, rows, query, key):
    """The head's projections, trained."""
    query, key = (torch.nn.Parameter(w.detach().clone()) for w in (query, key))
    having, lacking = [r for r in rows if r[3]], [r for r in rows if not r[3]]
    optimizer = torch.optim.Adam([query, key])
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = LR * min(1, (step + 1) / 20) * (1 - step / STEPS)
        some = [having[i] for i in rng.integers(len(having), size=WITH)]
        some += [lacking[i] for i in rng.integers(len(lacking), size=WITHOUT)]
        loss = -likely(some, query, key).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return query.detach(), key.detach()


@torch.no_grad()
def right(rows, query, key):
    """Shares of regions with a twin, and without one, that look where they should."""
    p = torch.cat([likely(rows[i:i + 64], query, key) for i in range(0, len(rows), 64)]).exp() > 0.5
    has = torch.tensor([bool(twins) for *_, twins in rows])
    return f"{p[has].float().mean():.2f} and {p[~has].float().mean():.2f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    args = parser.parse_args()
    out = args.work / "twins.pt"
    if out.exists():
        return
    rng = np.random.default_rng(12)
    tokenizer, features, model, symbols = open_stage(args.work, "recognised")
    looker = Looker(model, tokenizer, features)
    batches = [looker.some(rng, with_image=i % 5 == 4) for i in range(BATCHES)]
    split = BATCHES * 7 // 8
    learned, kept = ([row for b in part for row in b] for part in (batches[:split], batches[split:]))
    attention = looker.block.self_attn
    for h in HEADS:
        own = [head(proj.weight.data, h, attention.heads) for proj in (attention.q_proj, attention.k_proj)]
        print(f"head {h}: {right(kept, *own)} of {len(kept)} regions that have a twin, and that have none, before")
        for weight, fitted in zip(own, fit(rng, learned, *own)):
            weight.copy_(fitted)
        print(f"head {h}: {right(kept, *own)} after")
    save_state(out, {"model": model, "symbols": symbols}, None, 0)


if __name__ == "__main__":
    main()
