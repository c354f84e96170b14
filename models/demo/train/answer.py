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

    def answer(self, image, levels, dialogues):
        """The greedy answers to all turns of several dialogues about one picture, side by side."""
        answers, boxes = [[] for _ in dialogues], [[] for _ in dialogues]
        for k in range(max(map(len, dialogues))):
            there = [i for i, turns in enumerate(dialogues) if k < len(turns)]
            prompts = []
            for i in there:
                boxes[i] += [Box(b) for b in dialogues[i][k]["boxes"]]
                questions = [t["question"] for t in dialogues[i][:k + 1]]
                prompt = [1] + self.tokenizer.encode(render(questions, answers[i]))
                prompts.append(prompt[len(self.prefix):])
            for i, text in zip(there, self.greedy(image, levels, [boxes[i] for i in there], prompts)):
                answers[i].append(text)
        return answers

    def greedy(self, image, levels, boxes, prompts):
        flat = [b for row in boxes for b in row]
        fractions = torch.tensor([b.box for b in flat], dtype=torch.float32) / 224
        content = self.model.extractor.roi_align.content(levels, fractions, torch.zeros(len(flat)).long())
        regions = self.model.extractor.roi_align(content, fractions)
        row_of = {id(b): i for i, b in enumerate(flat)}
        made, texts = [[] for _ in prompts], [""] * len(prompts)
        for _ in range(MAX_TOKENS):
            live = [i for i, text in enumerate(texts) if STOP not in text]
            if not live:
                break
            # The last id is no target: it only makes the one before it predict.
            rows = [Example(prompts[i] + made[i] + [0], len(prompts[i] + made[i]), boxes[i]) for i in live]
            batch = Batch(self.tokenizer, self.prefix, rows, [0] * len(rows), True)
            for i, token in zip(live, self.model(batch, regions, row_of, image).argmax(1).tolist()):
                made[i].append(token)
                texts[i] = self.tokenizer.decode(made[i])
        return [shown(text) for text in texts]


def shown(text):
    """The answer without stop mark and speaker."""
    text = text.strip().removesuffix(STOP).strip()
    return text.replace("Assistant: ", "").replace("Assistant:", "").strip()


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
            group = list(group)
            for q, answers in zip(group, answerer.answer(vectors, levels, [q["turns"] for q in group])):
                print(json.dumps({"id": q["id"], "answers": answers}), file=out, flush=True)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
