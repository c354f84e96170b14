"""The region extractor learns to see, then everything but the tower learns together.

    python train.py --stage coarse --work WORK      # WORK/features, WORK/language.pt -> WORK/coarse.pt
    python train.py --stage symbols --work WORK     # WORK/coarse.pt -> WORK/symbols.pt
    python train.py --stage reading --work WORK     # WORK/twins.pt (recognise.py, twins.py) -> WORK/reading.pt
    python train.py --stage regions --work WORK     # WORK/reading.pt -> WORK/regions.pt
    python train.py --stage all --work WORK         # WORK/regions.pt -> WORK/all.pt

Each continues from its own state where a run was cut. `coarse` and `symbols` train the region extractor
alone: they bring what it sees in a box to the symbols of language.py, which may run at the same time.
In `reading` the language model alone learns to read what the extractor really sees, without pictures in
front. `regions` has the extractor bring forth short answers (what, colour, place, size) from the frozen
language model, which is stage 1 of the paper. `all`, its stage 2, trains region extractor, image
projector and language model on every task. The loss is on answers, and a share of it stays on the symbols.
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
from model import Config, Gpt4Roi
from packing import Batch
from prompts import Tokenizer, examples, shared_prefix
from start import condition, start
from symbolic import MAX_OBJECTS, Symbols, SymbolicScene, boxes_of
from training import Log, answer_loss, cosine, jittered, load_state, reduced, save_state, shortened

SHORT = {"colour": 2, "position": 1, "size": 1}
READ = {"colour": 5, "position": 1, "size": 0.3, "caption": 1, "captions": 1, "relation": 3, "same": 6, "larger": 1, "above": 0.7,
        "pointing": 1.5, "choice": 1.5, "dialogue": 0.7}
EVERY = READ | {"scene": 0.5}
TASKS = questions.TASKS | questions.RELATIONS
NAMES = 4  # objects of a scene that are asked for by name alone


@dataclass(frozen=True)
class Stage:
    before: str  # the stage whose state it starts from
    steps: int
    scenes: int  # a step
    largest: int  # side of a map that is computed in full (model.Fuse)
    eyes: float = 0  # learning rate of what is between the tower and a box's content
    vectors: float = 0  # of what makes region vectors of contents
    language: float = 0  # of language model and image projector
    symbols: float = 0  # weight of the symbols' loss
    questions: int = 0  # drawn for a scene, beside the names of some objects
    tasks: dict = None  # how often each is drawn
    images: bool = False  # in front of the questions


STAGES = {
    "coarse": Stage(None, 6000, 16, 16, eyes=1e-3, symbols=1),
    "symbols": Stage("coarse", 1200, 12, 32, eyes=2e-4, symbols=1),
    "reading": Stage("twins", 300, 8, 32, vectors=2e-4, language=6e-4, questions=10, tasks=READ),
    "regions": Stage("reading", 150, 4, 32, eyes=2e-4, vectors=2e-4, symbols=0.5, questions=8, tasks=SHORT),
    "all": Stage("regions", 400, 6, 32, eyes=1.5e-4, vectors=1.5e-4, language=5e-4, symbols=1, questions=6, tasks=EVERY,
                 images=True),
}
WIDE = 0.4  # of the learning rate, for the layer whose rows are many thousands wide
LATER_GIVEN = 0.1  # for what the scaffold gave


def ask(rng, scene, weights, n):
    """Some objects of a scene by their names, and some `n` other dialogues."""
    out = [questions.category(rng, SymbolicScene(scene.vocabulary, [o]))
           for o in questions.sample(rng, scene.objects, NAMES)]
    tasks, p = list(weights), np.array(list(weights.values()), float)
    for task in rng.choice(tasks, size=n, p=p / p.sum()):
        made = TASKS[task](rng, scene)
        if made:
            out.append(made)
    return out


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
        self.steps = shortened(self.stage.steps)
        self.tokenizer = Tokenizer(args.work / "tokenizer.model")
        self.prefix = shared_prefix(self.tokenizer)
        self.vocabulary = [c.name for c in concepts()]
        self.features = Features(args.work / "features")
        # Crowded scenes have more objects than dialogues are about: what is said of the whole picture would be wrong.
        self.usable = [i for i, objects in enumerate(self.features.objects)
                       if not self.stage.images or len(objects) <= MAX_OBJECTS]
        self.symbols = Symbols(len(self.vocabulary), Config.n_mid)
        torch.manual_seed(4)
        self.model = Gpt4Roi(Config(vocab=self.tokenizer.n_vocab))
        self.silent = self.stage.questions == 0
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
        before = self.stage.before
        if before is None:
            start(self.model, self.features, self.symbols)
        elif self.silent:
            self.load(before, {"eyes": self.model.eyes})
        else:
            self.load(before, {"model": self.model})
        if self.stage.eyes > 0:
            condition(self.model, self.features)

    def parameter_groups(self):
        """What learns, with its learning rate; the rest is frozen."""
        stage, language = self.stage, self.stage.language
        regions = self.model.extractor.roi_align
        peaks = {p: language for p in self.model.parameters()}
        peaks |= {p: LATER_GIVEN * language for p in scaffold.parameters(self.model)}
        peaks |= {p: stage.vectors for part in (regions.updims, regions.pos_embedd) for p in part.parameters()}
        peaks |= {p: stage.eyes for p in self.model.eyes.parameters()}
        peaks[regions.flatten_linear.weight] = WIDE * stage.eyes
        for p, peak in peaks.items():
            p.requires_grad_(peak > 0)
        return [{"params": [p for p, its in peaks.items() if its == peak], "peak": peak}
                for peak in sorted(set(peaks.values()) - {0})]

    def step(self, step):
        rng = np.random.default_rng((5, *self.args.stage.encode(), step))
        # A new order of all scenes each time they have been through.
        at = step * self.stage.scenes
        epoch, start = divmod(at, len(self.usable))
        order = np.random.default_rng((6, *self.args.stage.encode(), epoch)).permutation(self.usable)
        indices = [int(order[(start + i) % len(order)]) for i in range(self.stage.scenes)]
        scenes = [SymbolicScene(self.vocabulary, self.features.objects[i]) for i in indices]
        objects = [o for scene in scenes for o in scene.objects]
        holders = torch.tensor([i for i, scene in enumerate(scenes) for _ in scene.objects])
        boxes = jittered(rng, boxes_of(objects))
        states = self.features.states(indices)
        if self.silent:  # answers would tell left from right
            states, boxes = mirrored(rng, states, boxes, holders)
        self.model.eyes.train(self.stage.eyes > 0)
        with reduced(), torch.set_grad_enabled(self.stage.eyes > 0):
            content = self.model.contents(states, boxes, holders, self.stage.largest)
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
            for d in ask(rng, scene, self.stage.tasks, self.stage.questions):
                made += examples(self.tokenizer, self.prefix, d)
            owners += [i] * (len(made) - len(owners))
        batch = Batch(self.tokenizer, self.prefix, made, owners, with_image=self.stage.images)
        row_of = {id(o): i for i, o in enumerate(objects)}
        with reduced():
            regions = self.model.extractor.roi_align(content, boxes)
            images = self.model.model.mm_projector(states[-1]) if self.stage.images else None
            return answer_loss(self.model(batch, regions, row_of, images), batch)

    def run(self):
        log = Log(self.args.work / f"{self.args.stage}.log")
        for step in range(self.first, self.steps):
            for group in self.optimizer.param_groups:
                group["lr"] = group["peak"] * cosine(step, self.steps, warmup=min(100, self.steps // 5))
            log.step(step, self.steps, **self.step(step))
            if (step + 1) % 200 == 0 or step + 1 == self.steps:
                save_state(self.state, self.modules, self.optimizer, step + 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--stage", choices=STAGES, required=True)
    parser.add_argument("--work", type=Path, required=True)
    Trainer(parser.parse_args()).run()


if __name__ == "__main__":
    main()
