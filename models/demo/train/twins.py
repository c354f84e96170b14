"""The heads that find a region like another learn what real region vectors are like.

    python twins.py --work WORK      # WORK/recognised.pt, WORK/symbols.pt -> WORK/twins.pt

`scaffold.py` made them for clean symbols. What regions look like once the extractor and the units of recognise.py have had
their say is as telling (an earlier region of the same kind is told from others in 99%), but louder: a region is then most like
itself, and its heads rest there. Five minutes of training on nothing but where they look set that right. What comes of it is
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
from training import cosine, jittered, save_state, shortened

LAYER, HEADS = 2, (0, 1)  # scaffold.TWINS
SCENES = 8  # a step; every fifth one with pictures in front
KEPT = 10  # steps' worth of scenes kept aside
ASKED = {"same": 5, "larger": 1, "captions": 1, "pointing": 1}
STEPS, LR = shortened(900), 5e-4
WITH, WITHOUT = 32, 40  # regions of a step that have a twin, and that have none


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
    def some(self, rng, indices, with_image):
        """Rows of some questions about the scenes `indices`."""
        scenes = [SymbolicScene(self.names, self.features.objects[i]) for i in indices]
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


def fit(draw, heads):
    """The heads' projections, each a query and a key, trained on the rows that `draw` gives for a step."""
    heads = [[torch.nn.Parameter(w.detach().clone()) for w in own] for own in heads]
    optimizer = torch.optim.AdamW([w for own in heads for w in own], lr=LR)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = LR * cosine(step, STEPS, warmup=20)
        rng = np.random.default_rng((12, step))
        rows = draw(rng, step)
        having, lacking = [r for r in rows if r[3]], [r for r in rows if not r[3]]
        loss = 0
        for own in heads:
            some = questions.sample(rng, having, WITH) + questions.sample(rng, lacking, WITHOUT)
            loss = loss - likely(some, *own).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return [[w.detach() for w in own] for own in heads]


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
    tokenizer, features, model, symbols = open_stage(args.work, "recognised")
    looker = Looker(model, tokenizer, features)
    split = len(features) - KEPT * SCENES
    with_image = lambda step: step % 5 == 4
    kept = [row for step in range(KEPT) for row in looker.some(
        np.random.default_rng((13, step)), range(split + step * SCENES, split + (step + 1) * SCENES), with_image(step))]
    draw = lambda rng, step: looker.some(rng, rng.choice(split, SCENES, replace=False), with_image(step))
    attention = looker.block.self_attn
    heads = [[head(proj.weight.data, h, attention.heads) for proj in (attention.q_proj, attention.k_proj)] for h in HEADS]
    print(f"of {len(kept)} regions, those that have a twin, and that have none")
    for own, fitted in zip(heads, fit(draw, heads)):
        print(f"{right(kept, *own)} look right before, {right(kept, *fitted)} after")
        for weight, new in zip(own, fitted):
            weight.copy_(new)
    save_state(out, {"model": model, "symbols": symbols}, None, 0)


if __name__ == "__main__":
    main()
