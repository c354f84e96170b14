"""Writes a held-out question set: scenes, COCO-style annotations and questions with their answers.

    python make_eval.py --out DIR --questions 2400 --seed 1

Scenes of three splits: art that was trained on over new backgrounds (seen), an art set that was not
(unseen-art), photographic cut-outs (photo). Every object is asked for by category, and every scene
once for each other task that it allows; the control asks for an object with the box of another.
With --shippable, backgrounds are patterns only and photographs are left out, so that the licences of
the drawings are all that the set carries.
"""
import argparse
import json
from pathlib import Path

import numpy as np

import coco
import questions
from backgrounds import pattern
from concepts import concepts
from scenes import compose, scene_rng
from symbolic import SymbolicScene

SHARES = {"seen": 0.6, "unseen-art": 0.32, "photo": 0.08}
SHIPPABLE = {"seen": 0.65, "unseen-art": 0.35}
ONLY_CATEGORY = ("photo",)
SEEDS_APART = 1_000_000  # scene numbers of one set lie here; training uses those below


def box_json(o):
    return [round(v, 2) for v in o.box]


def turn_json(turn):
    out = {"question": turn.question, "boxes": [box_json(o) for o in turn.objects], "answer": turn.answer}
    if turn.accept is not None:
        out["accept"] = turn.accept
    elif turn.keys is not None:
        out["keys"] = turn.keys
    return out


def category_of(rng, scene, o):
    return questions.category(rng, SymbolicScene(scene.vocabulary, [o]))


def control(rng, scene):
    """An object asked for by category, with the box of another."""
    pairs = [(a, b) for a in scene.objects for b in scene.objects if a.name != b.name]
    if not pairs:
        return None
    a, b = questions.pick(rng, pairs)
    made = category_of(rng, scene, a)
    made.task, made.turns[0].objects = "control", [b]
    return made


def dialogues(rng, scene, split):
    out = [category_of(rng, scene, o) for o in scene.objects]
    if split not in ONLY_CATEGORY:
        out += [make(rng, scene) for task, make in questions.TASKS.items() if task != "category"]
        out.append(control(rng, scene))
    return [d for d in out if d]


def make(n_questions, seed, shippable):
    """Scenes of all splits and the lines of questions.jsonl."""
    vocabulary, scenes, lines = [c.name for c in concepts()], [], []
    for split, share in (SHIPPABLE if shippable else SHARES).items():
        wanted, number = len(lines) + round(n_questions * share), 0
        while len(lines) < wanted:
            key = seed * SEEDS_APART + number
            rng = np.random.default_rng((7, key))
            scene = compose(scene_rng(split, key), split, backdrop=pattern(rng) if shippable else None)
            for d in dialogues(rng, SymbolicScene(vocabulary, scene.objects), split):
                line = {"id": len(lines), "image": coco.file_name(len(scenes)), "task": d.task, "split": split}
                if d.subject is not None:
                    line["size"] = round(d.subject.size, 1)
                lines.append(line | {"turns": [turn_json(t) for t in d.turns]})
            scenes.append(scene)
            number += 1
    return scenes, lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--questions", type=int, default=2400)
    parser.add_argument("--seed", type=int, default=1, help="from 1 on; each is another set")
    parser.add_argument("--shippable", action="store_true")
    args = parser.parse_args()
    if args.seed < 1:
        raise SystemExit("--seed starts at 1: the numbers below are training scenes")
    scenes, lines = make(args.questions, args.seed, args.shippable)
    coco.write(args.out, scenes, f"Held-out scenes of the demo model, seed {args.seed}")
    (args.out / "questions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    print(f"{len(lines)} questions about {len(scenes)} scenes in {args.out}")


if __name__ == "__main__":
    main()
