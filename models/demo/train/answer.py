"""Answers a question set with the training code: what the runtime's answers are compared with.

    python answer.py --work WORK --tower CHECKPOINT/tower --data DIR --out answers.jsonl
"""
import argparse
import itertools
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from export import load_trained
from packing import Batch
from prompts import Example, render, shared_prefix
from tower import Tower, to_pixels

MAX_TOKENS, STOP = 64, "###"


class Box:
    """Stands for an object in `Batch`."""

    def __init__(self, box):
        self.box = box


class Answerer:
    def __init__(self, work, tower):
        self.tokenizer, self.model = load_trained(work)
        self.prefix = shared_prefix(self.tokenizer)
        self.tower = Tower(tower)

    def look(self, path):
        """Hidden states and fused maps of a picture."""
        states = [s[:, 1:] for s in self.tower(to_pixels([np.asarray(Image.open(path).convert("RGB"))]))]
        maps = [s.transpose(1, 2).reshape(1, -1, 16, 16) for s in states]
        return self.model.model.mm_projector(states[-1]), self.model.extractor.mlvl_fuse(maps)

    def answer(self, image, levels, turns):
        """The greedy answer of every turn."""
        answers, boxes = [], []
        for k, turn in enumerate(turns):
            boxes += [Box(b) for b in turn["boxes"]]
            fractions = torch.tensor([b.box for b in boxes], dtype=torch.float32) / 224
            content = self.model.extractor.roi_align.content(levels, fractions, torch.zeros(len(boxes)).long())
            regions = self.model.extractor.roi_align(content, fractions)
            prompt = [1] + self.tokenizer.encode(render([t["question"] for t in turns[:k + 1]], answers))
            answers.append(self.greedy(image, regions, boxes, prompt[len(self.prefix):]))
        return answers

    def greedy(self, image, regions, boxes, ids):
        row_of = {id(b): i for i, b in enumerate(boxes)}
        n_prompt, text = len(ids), ""
        while len(ids) - n_prompt < MAX_TOKENS and STOP not in text:
            # The last id is no target: it only makes the one before it predict.
            batch = Batch(self.tokenizer, self.prefix, [Example(ids + [0], len(ids), boxes)], [0], True)
            ids = ids + [int(self.model(batch, regions, row_of, image)[0].argmax())]
            text = self.tokenizer.decode(ids[n_prompt:])
        return text.strip().removesuffix(STOP).strip().replace("Assistant: ", "").replace("Assistant:", "").strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name in ("work", "tower", "data", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--limit", type=int, help="only so many questions")
    args = parser.parse_args()
    answerer = Answerer(args.work, args.tower)
    lines = map(json.loads, (args.data / "questions.jsonl").open())
    with args.out.open("w") as out:
        for image, group in itertools.groupby(itertools.islice(lines, args.limit), key=lambda q: q["image"]):
            vectors, levels = answerer.look(args.data / image)
            for q in group:
                answers = answerer.answer(vectors, levels, q["turns"])
                print(json.dumps({"id": q["id"], "answers": answers}), file=out)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
