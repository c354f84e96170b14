"""Stages 1 and 2: the region extractor learns to see, then everything but the tower learns together.

    python train.py --stage regions --work WORK     # WORK/features, WORK/language.pt -> WORK/regions.pt
    python train.py --stage all --work WORK         # WORK/regions.pt -> WORK/all.pt

Both continue from their own state where a run was cut. Stage 1 trains the region extractor alone, on
short answers (what, colour, place, size), against the frozen language model; stage 2 trains region
extractor, image projector and language model on every task. The loss is on answers only.
"""
import argparse
from pathlib import Path

import numpy as np
import torch

import questions
from concepts import concepts
from features import Features
from model import Config, Gpt4Roi
from packing import Batch
from prompts import Tokenizer, examples, shared_prefix
from symbolic import SymbolicScene, boxes_of
from training import Log, answer_loss, cosine, load_state, save_state

SHORT = {"category": 0, "colour": 2, "position": 1, "size": 1}
EVERY = {"category": 2, "colour": 1, "position": 1, "size": 0.7, "caption": 2, "captions": 1.2, "relation": 1.8,
         "pointing": 1.2, "choice": 1.2, "dialogue": 1.2, "scene": 0.4}
JITTER = 0.04  # of a box's side: detectors are not exact


def ask(rng, scene, weights, n):
    """Some `n` dialogues about a scene; where categories weigh nothing, every object is named once."""
    out = []
    if weights["category"] == 0:
        out = [questions.category(rng, SymbolicScene(scene.vocabulary, [o])) for o in scene.objects]
    tasks, p = list(weights), np.array(list(weights.values()), float)
    for task in rng.choice(tasks, size=n, p=p / p.sum()):
        made = questions.TASKS[task](rng, scene)
        if made:
            out.append(made)
    return out


def jittered(rng, boxes):
    sides = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    return boxes + JITTER * sides * torch.from_numpy(rng.normal(size=boxes.shape)).float().clamp(-2, 2)


class Trainer:
    def __init__(self, args):
        self.args = args
        self.tokenizer = Tokenizer(args.work / "tokenizer.model")
        self.prefix = shared_prefix(self.tokenizer)
        self.vocabulary = [c.name for c in concepts()]
        self.features = Features(args.work / "features")
        torch.manual_seed(4)
        self.model = Gpt4Roi(Config(vocab=self.tokenizer.n_vocab))
        self.whole = args.stage == "all"
        self.weights = EVERY if self.whole else SHORT
        self.groups = self.parameter_groups()
        self.optimizer = torch.optim.AdamW(self.groups, betas=(0.9, 0.98), weight_decay=0.02)
        self.state = args.work / f"{args.stage}.pt"
        self.first = load_state(self.state, {"model": self.model}, self.optimizer)
        if self.first == 0:
            before = args.work / ("regions.pt" if self.whole else "language.pt")
            if load_state(before, {"model": self.model}) == 0:
                raise SystemExit(f"{before} is missing: run the stage before first")

    def parameter_groups(self):
        extractor = list(self.model.extractor.parameters())
        groups = [{"params": extractor, "peak": self.args.lr}]
        inside = {id(p) for p in extractor}
        others = [p for p in self.model.parameters() if id(p) not in inside]
        if self.whole:
            groups.append({"params": others, "peak": self.args.lr_language})
        else:
            for p in others:
                p.requires_grad_(False)
        return groups

    def step(self, step):
        rng = np.random.default_rng((5 + self.whole, step))
        # A new order of all scenes each time they have been through.
        at = step * self.args.scenes
        epoch, start = divmod(at, len(self.features))
        order = np.random.default_rng((6 + self.whole, epoch)).permutation(len(self.features))
        indices = [int(order[(start + i) % len(order)]) for i in range(self.args.scenes)]
        scenes = [SymbolicScene(self.vocabulary, self.features.objects[i]) for i in indices]
        made, owners, objects, holders = [], [], [], []
        for i, scene in enumerate(scenes):
            for d in ask(rng, scene, self.weights, self.args.questions):
                made += examples(self.tokenizer, self.prefix, d)
            owners += [i] * (len(made) - len(owners))
            objects += scene.objects
            holders += [i] * len(scene.objects)
        batch = Batch(self.tokenizer, self.prefix, made, owners, with_image=self.whole)
        boxes = jittered(rng, boxes_of(objects))
        row_of = {id(o): i for i, o in enumerate(objects)}
        states = self.features.states(indices)
        with torch.autocast("cpu", torch.bfloat16):
            content = self.model.contents(states, boxes, torch.tensor(holders))
            regions = self.model.extractor.roi_align(content, boxes)
            images = self.model.model.mm_projector(states[-1]) if self.whole else None
            loss, right = answer_loss(self.model(batch, regions, row_of, images), batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for group in self.groups:
            torch.nn.utils.clip_grad_norm_(group["params"], 1.0)
        self.optimizer.step()
        return loss.item(), right

    def run(self):
        log = Log(self.args.work / f"{self.args.stage}.log")
        for step in range(self.first, self.args.steps):
            for group in self.optimizer.param_groups:
                group["lr"] = group["peak"] * cosine(step, self.args.steps, warmup=100)
            loss, right = self.step(step)
            log.step(step, self.args.steps, loss=loss, right=right)
            if (step + 1) % 200 == 0 or step + 1 == self.args.steps:
                save_state(self.state, {"model": self.model}, self.optimizer, step + 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--stage", choices=("regions", "all"), required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--scenes", type=int, default=4, help="scenes a step")
    parser.add_argument("--questions", type=int, default=8, help="drawn questions a scene")
    parser.add_argument("--lr", type=float, default=1e-3, help="of the region extractor")
    parser.add_argument("--lr-language", type=float, default=5e-4)
    Trainer(parser.parse_args()).run()


if __name__ == "__main__":
    main()
