"""The language model's first layer gets units that tell apart what region vectors show.

    python recognise.py --work WORK      # WORK/language.pt, WORK/symbols.pt -> WORK/recognised.pt

A region vector is a linear function of what was pooled: where the extractor is not sure, it is a mixture of symbols, and
mostly noise. The language model that learned from clean symbols reads the second piece of a name off another concept than the first
one, and unlearns that slowly. So some units of its first MLP start as what tells region vectors apart best: Fisher's linear
discriminants of real ones, each answering with the symbol of its concept. They are then trained for a minute to be sharp at
regions and silent elsewhere; what follows is trained with everything else.
"""
import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

import questions
from concepts import concepts
from features import Features
from model import Config, Gpt4Roi
from packing import Batch
from prompts import Tokenizer, examples, shared_prefix
from scaffold import CONSTANT
from symbolic import Symbols, SymbolicObject, SymbolicScene, boxes_of
from training import cosine, jittered, load_state, save_state, shortened

LARGEST, VIEWS = 32, 2  # see model.Fuse; and boxes drawn around each object
RIDGE = 0.1  # share of the mean variance added to the within-class one
STEPS, BATCH, LR = shortened(900), 1024, 1e-3
NOISE = 0.25  # added to a vector, of its spread
SHARP = 8.0  # of the choice among symbols
SAID = 0.6  # of the answer in the end: louder ones drown colour and box
FAR, TALKATIVE = 0.5, 5.0  # weights of the distance to the symbol, and of what is said where no region is


@torch.no_grad()
def contents(model, features, rng, n_scenes, batch=16):
    """What boxes hold [n, M], the boxes [n, 4], and the concepts [n]."""
    held, boxes, kinds = [], [], []
    for i in range(0, n_scenes, batch):
        indices = range(i, min(i + batch, n_scenes))
        objects = [o for j in indices for o in features.objects[j]] * VIEWS
        owner = torch.tensor([k for k, j in enumerate(indices) for _ in features.objects[j]]).repeat(VIEWS)
        boxes.append(jittered(rng, boxes_of(objects)))
        held.append(model.contents(features.states(indices), boxes[-1], owner, LARGEST))
        kinds += [o.concept for o in objects]
    return torch.cat(held), torch.cat(boxes), torch.tensor(kinds)


class FirstLayer:
    """What the MLP of the first layer reads, and where its answer is added."""

    def __init__(self, model, tokenizer):
        self.model, self.tokenizer, self.prefix = model, tokenizer, shared_prefix(tokenizer)
        self.names = [c.name for c in concepts()]

    @torch.no_grad()
    def __call__(self, rng, held, boxes, kinds, batch=256):
        """At the regions [n, H]: input of the MLP, and the sum with its answer. And its input at as many other tokens."""
        vectors = self.model.extractor.roi_align(held, boxes)
        parts = [self.some(rng, vectors[i:i + batch], kinds[i:i + batch].tolist()) for i in range(0, len(held), batch)]
        return [torch.cat(p) for p in zip(*parts)]

    def some(self, rng, vectors, kinds):
        objects = [SymbolicObject(k, self.names[k], None, None, False) for k in kinds]
        made = [e for o in objects for e in examples(
            self.tokenizer, self.prefix, questions.category(rng, SymbolicScene(self.names, [o])))]
        batch = Batch(self.tokenizer, self.prefix, made, [0] * len(made), with_image=False)
        row_of = {id(o): i for i, o in enumerate(objects)}
        body, block = self.model.model, self.model.model.layers[0]
        at = torch.tensor([i for i, _ in batch.regions])
        own = body.embed_tokens(batch.ids).index_put((at,), vectors[[row_of[id(o)] for _, o in batch.regions]])
        x = torch.cat([body.embed_tokens(batch.prefix_ids), own])
        x = x + block.self_attn(block.input_layernorm(x), self.model.layout(batch, 1))
        read, at = block.post_attention_layernorm(x), at + len(batch.prefix_ids)
        at = at[torch.tensor([row_of[id(o)] for _, o in batch.regions]).argsort()]
        elsewhere = torch.ones(len(x), dtype=torch.bool).index_fill(0, at, False)
        others = read[elsewhere]
        return read[at], (x + block.mlp(read))[at], others[torch.from_numpy(rng.choice(len(others), len(at)))]


def discriminants(x, y, n):
    """Fisher's linear discriminants [n, H] of classes alike in number, with the constant coordinate as bias; and the spread
    inside a class [H]."""
    means = torch.stack([x[y == c].mean(0) for c in range(n)])
    rest = x - means[y]
    within = rest.T @ rest / len(x)
    within += RIDGE * within.trace() / len(within) * torch.eye(len(within))
    weight = torch.linalg.solve(within, (means - means.mean(0)).T).T
    bias = -0.5 * (weight * (means + means.mean(0))).sum(1)
    weight[:, CONSTANT] += bias / x[:, CONSTANT].mean()
    return weight, rest.std(0)


def opened(weight, x, y):
    """Gates [n, H] that are open for the class of `x` and shut for the next best one."""
    score = x @ weight.T
    true, next_best = score.gather(1, y[:, None]).median(), score.topk(2, 1)[0][:, 1].median()
    gate = weight * 3 / (true - next_best)
    gate[:, CONSTANT] -= 1.5 * (true + next_best) / (true - next_best) / x[:, CONSTANT].mean()
    return gate


def fit(read, after, others, y, codes):
    """Gates and factors [n, H] of units that answer with `codes` [n, H], from what `FirstLayer` gives."""
    weight, spread = discriminants(read, y, len(codes))
    gate = torch.nn.Parameter(opened(weight, read, y))
    factor = torch.nn.Parameter(torch.zeros_like(weight))
    factor.data[:, CONSTANT] = 0.5 / read[:, CONSTANT].mean()
    said = lambda x: (F.silu(x @ gate.T) * (x @ factor.T)) @ codes
    size = codes.pow(2).mean()
    optimizer = torch.optim.AdamW([gate, factor], lr=LR, weight_decay=0.02)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = LR * cosine(step, STEPS, warmup=1)
        some, other = torch.randint(len(read), (BATCH,)), torch.randint(len(others), (BATCH,))
        answer = said(read[some] + NOISE * spread * torch.randn(BATCH, len(spread)))
        score = SHARP * (after[some] + answer) @ codes.T / codes.pow(2).sum(1).mean()
        loss = (F.cross_entropy(score, y[some]) + FAR * (answer - codes[y[some]]).pow(2).mean() / size
                + TALKATIVE * said(others[other]).pow(2).mean() / size)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return gate.detach(), factor.detach()


@torch.no_grad()
def put(mlp, gate, factor, codes):
    """In the place of those units that say least."""
    quiet = mlp.down_proj.weight.norm(dim=0).argsort()[:len(codes)]
    mlp.gate_proj.weight[quiet], mlp.up_proj.weight[quiet] = gate, factor
    mlp.down_proj.weight[:, quiet] = SAID * codes.T


def open_stage(work, stage):
    """Tokenizer, kept scenes, the model as `stage` left it with the eyes of the stage `symbols`, and the symbols."""
    tokenizer, features = Tokenizer(work / "tokenizer.model"), Features(work / "features")
    model = Gpt4Roi(Config(vocab=tokenizer.n_vocab)).eval()
    symbols = Symbols(len(concepts()), model.cfg.n_mid)
    load_state(work / f"{stage}.pt", {"model": model, "symbols": symbols})
    load_state(work / "symbols.pt", {"eyes": model.eyes})
    return tokenizer, features, model, symbols


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=10000, help="scenes whose regions are looked at")
    args = parser.parse_args()
    out = args.work / "recognised.pt"
    if out.exists():
        return
    torch.manual_seed(10)
    rng = np.random.default_rng(10)
    tokenizer, features, model, symbols = open_stage(args.work, "language")
    held, boxes, kinds = contents(model, features, rng, min(args.scenes, len(features)))
    read, after, others = FirstLayer(model, tokenizer)(rng, held, boxes, kinds)
    codes = (symbols.concept.weight @ model.extractor.roi_align.updims.weight.T).detach()
    right = lambda x: ((x @ codes.T).argmax(1) == kinds).float().mean().item()
    gate, factor = fit(read, after, others, kinds, codes)
    with torch.no_grad():
        answer = (F.silu(read @ gate.T) * (read @ factor.T)) @ codes
    print(f"{len(read)} regions; symbol nearest before {right(after):.3f}, after {right(after + answer):.3f}")
    put(model.model.layers[0].mlp, gate, factor, codes)
    save_state(out, {"model": model, "symbols": symbols}, None, 0)


if __name__ == "__main__":
    main()
