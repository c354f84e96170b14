"""The region extractor learns to see, then everything but the tower learns together.

    python train.py --stage coarse --work WORK      # WORK/features -> WORK/coarse.pt
    python train.py --stage symbols --work WORK     # WORK/coarse.pt -> WORK/symbols.pt
    python train.py --stage regions --work WORK     # WORK/language.pt, WORK/symbols.pt -> WORK/regions.pt
    python train.py --stage all --work WORK         # WORK/regions.pt -> WORK/all.pt

Each continues from its own state where a run was cut. The first three train the region extractor alone:
`coarse` and `symbols` bring what it sees in a box to the symbols of language.py, which may run at the
same time, first with a pyramid of small maps, then in full; `regions` has it bring forth short answers
(what, colour, place, size) from the frozen language model, which is stage 1 of the paper. `all`, its
stage 2, trains region extractor, image projector and language model on every task. The loss is on
answers, and a share of it stays on the symbols.
"""
import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import questions
import scaffold
from concepts import concepts
from features import Features
from language import GIVEN
from model import Config, Gpt4Roi
from packing import Batch
from prompts import Tokenizer, examples, shared_prefix
from start import start
from symbolic import Symbols, SymbolicScene, boxes_of
from training import Log, answer_loss, cosine, load_state, save_state

@dataclass(frozen=True)
class Stage:
    before: str  # the stage whose state it starts from
    steps: int
    scenes: int  # a step
    questions: int  # drawn for a scene
    lr: float  # of the region extractor
    symbols: float  # weight of the symbols' loss


STAGES = {"coarse": Stage(None, 6000, 16, 0, 1e-3, 1.0), "symbols": Stage("coarse", 1500, 6, 0, 4e-4, 1.0),
          "regions": Stage("symbols", 150, 4, 8, 2e-4, 0.5), "all": Stage("regions", 1200, 6, 5, 1.5e-4, 1.0)}
LR_LANGUAGE = 5e-4
SHORT = {"category": 0, "colour": 2, "position": 1, "size": 1}
EVERY = {"category": 1.5, "colour": 1, "position": 0.7, "size": 0.5, "caption": 1.5, "captions": 1, "relation": 3,
         "pointing": 2, "choice": 2, "dialogue": 1, "scene": 0.5}
WIDE = 0.4  # of the learning rate, for the layer whose rows are many thousands wide
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


def mirrored(rng, states, boxes, holders):
    """Half of the scenes, from right to left; the tower's hidden states of a mirrored picture are nearly that."""
    turned = torch.from_numpy(rng.random(len(states[0])) < 0.5)
    mirror = lambda s: s.unflatten(1, (16, 16)).flip(2).flatten(1, 2)
    states = [torch.where(turned[:, None, None], mirror(s), s) for s in states]
    other = torch.stack([1 - boxes[:, 2], boxes[:, 1], 1 - boxes[:, 0], boxes[:, 3]], 1)
    return states, torch.where(turned[holders, None], other, boxes)


class Trainer:
    def __init__(self, args):
        self.args, self.stage = args, STAGES[args.stage]
        self.tokenizer = Tokenizer(args.work / "tokenizer.model")
        self.prefix = shared_prefix(self.tokenizer)
        self.vocabulary = [c.name for c in concepts()]
        self.features = Features(args.work / "features")
        self.symbols = Symbols(len(self.vocabulary), Config.n_mid)
        torch.manual_seed(4)
        self.model = Gpt4Roi(Config(vocab=self.tokenizer.n_vocab))
        self.coarse, self.whole = args.stage == "coarse", args.stage == "all"
        self.silent = self.stage.questions == 0
        self.weights = EVERY if self.whole else SHORT
        self.groups = self.parameter_groups()
        self.optimizer = torch.optim.AdamW(self.groups, betas=(0.9, 0.98), weight_decay=0.05)
        self.state = args.work / f"{args.stage}.pt"
        self.modules = {"eyes": self.model.eyes} if self.silent else {"model": self.model}
        self.load("language", {"symbols": self.symbols})
        self.first = load_state(self.state, self.modules, self.optimizer)
        if self.first == 0:
            self.begin()

    def load(self, stage, modules):
        path = self.args.work / f"{stage}.pt"
        if not path.exists():
            raise SystemExit(f"{path} is missing: run the stage before first")
        load_state(path, modules)

    def begin(self):
        """Takes over what the stages before have learned."""
        if self.coarse:
            start(self.model, self.features, self.symbols)
        elif self.whole:
            self.load(self.stage.before, {"model": self.model})
        else:
            if not self.silent:
                self.load("language", {"model": self.model})
            self.load(self.stage.before, {"eyes": self.model.eyes})

    def parameter_groups(self):
        extractor = list(self.model.extractor.parameters())
        wide = self.model.extractor.roi_align.flatten_linear.weight
        groups = [{"params": [p for p in extractor if p is not wide], "peak": self.stage.lr},
                  {"params": [wide], "peak": self.stage.lr * WIDE}]
        inside = {id(p) for p in extractor}
        others = [p for p in self.model.parameters() if id(p) not in inside]
        if self.whole:
            given = {id(p) for p in scaffold.parameters(self.model)}
            slow = [p for p in others if id(p) in given]
            groups.append({"params": [p for p in others if id(p) not in given], "peak": LR_LANGUAGE})
            groups.append({"params": slow, "peak": GIVEN * LR_LANGUAGE})
        else:
            for p in others:
                p.requires_grad_(False)
        return groups

    def step(self, step):
        rng = np.random.default_rng((5, *self.args.stage.encode(), step))
        # A new order of all scenes each time they have been through.
        at = step * self.stage.scenes
        epoch, start = divmod(at, len(self.features))
        order = np.random.default_rng((6, *self.args.stage.encode(), epoch)).permutation(len(self.features))
        indices = [int(order[(start + i) % len(order)]) for i in range(self.stage.scenes)]
        scenes = [SymbolicScene(self.vocabulary, self.features.objects[i]) for i in indices]
        objects = [o for scene in scenes for o in scene.objects]
        holders = torch.tensor([i for i, scene in enumerate(scenes) for _ in scene.objects])
        boxes = jittered(rng, boxes_of(objects))
        states = self.features.states(indices)
        if self.silent:  # answers would tell left from right
            states, boxes = mirrored(rng, states, boxes, holders)
        with torch.autocast("cpu", torch.bfloat16):
            content = self.model.contents(states, boxes, holders, self.coarse)
        meaning, known = self.symbols.loss(content.float(), objects)
        loss, shown = self.stage.symbols * meaning, {"meaning": meaning.item(), "known": known}
        if not self.silent:
            answers, right = self.answers(rng, scenes, states, content, boxes, objects)
            loss, shown = loss + answers, {"loss": answers.item(), "right": right, **shown}
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for group in self.groups:
            torch.nn.utils.clip_grad_norm_(group["params"], 1.0)
        self.optimizer.step()
        return shown

    def answers(self, rng, scenes, states, content, boxes, objects):
        """The loss of the language model's answers to drawn questions."""
        made, owners = [], []
        for i, scene in enumerate(scenes):
            for d in ask(rng, scene, self.weights, self.stage.questions):
                made += examples(self.tokenizer, self.prefix, d)
            owners += [i] * (len(made) - len(owners))
        batch = Batch(self.tokenizer, self.prefix, made, owners, with_image=self.whole)
        row_of = {id(o): i for i, o in enumerate(objects)}
        with torch.autocast("cpu", torch.bfloat16):
            regions = self.model.extractor.roi_align(content, boxes)
            images = self.model.model.mm_projector(states[-1]) if self.whole else None
            return answer_loss(self.model(batch, regions, row_of, images), batch)

    def run(self):
        log = Log(self.args.work / f"{self.args.stage}.log")
        for step in range(self.first, self.stage.steps):
            for group in self.optimizer.param_groups:
                group["lr"] = group["peak"] * cosine(step, self.stage.steps, warmup=100)
            log.step(step, self.stage.steps, **self.step(step))
            if (step + 1) % 200 == 0 or step + 1 == self.stage.steps:
                save_state(self.state, self.modules, self.optimizer, step + 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--stage", choices=STAGES, required=True)
    parser.add_argument("--work", type=Path, required=True)
    Trainer(parser.parse_args()).run()


if __name__ == "__main__":
    main()
