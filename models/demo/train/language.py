"""Stage 0: the language model learns to talk, from symbolic scenes alone.

    python language.py --out WORK

writes WORK/tokenizer.model and WORK/language.pt; continues from WORK/language.pt where it was cut.
"""
import argparse
import pydoc_data.topics
from pathlib import Path

import numpy as np
import torch

import questions
import scaffold
from concepts import concepts
from model import Config, Gpt4Roi
from packing import Batch
from prompts import SYSTEM, Tokenizer, examples, render, shared_prefix, train_tokenizer
from symbolic import Symbols, boxes_of, symbolic_scene
from training import Log, answer_loss, cosine, load_state, reduced, save_state, shortened

N_PIECES = 2500
GIVEN, LATER = 0.05, 0.4  # of the learning rate, for what the scaffold gives; and of the steps, when that begins to learn
WEIGHTS = {"category": 2, "colour": 1, "position": 2, "size": 1, "caption": 2, "captions": 1, "relation": 4,
           "pointing": 3, "choice": 3, "dialogue": 1.5}


# What the region extractor gives later is far from a symbol: fainter where it is not sure, nearly as noisy as the
# symbols are long, and with a share of what it might be instead. A language model that knows clean symbols only
# misreads most of it, so all this grows while it learns.
LOUDEST, FAINTEST, MIXED = 1.5, 0.6, 0.4
HUM = 0.05  # noise where symbols are empty


def seen(rng, symbols, objects, grown):
    """Symbols [n, M] as a region extractor might give them; `grown` from 0 to 1."""
    n = len(objects)
    share = lambda low, high: torch.from_numpy(rng.uniform(low, high, (n, 1))).float()
    other = symbols.concept.weight[torch.from_numpy(rng.integers(len(symbols.concept.weight), size=n))]
    clean = symbols(objects) * share(1 - grown * (1 - FAINTEST), 1) + other * share(0, grown * MIXED)
    noise = torch.randn_like(clean)
    noise[:, :symbols.n_used] *= share(0, grown * LOUDEST)
    noise[:, symbols.n_used:] *= HUM
    return clean + noise


def draw(rng, scene, n, weights=WEIGHTS):
    """`n` dialogues about a scene, tasks by weight."""
    tasks, p = list(weights), np.array(list(weights.values()), float)
    out = []
    for _ in range(4 * n):
        made = questions.TASKS[tasks[int(rng.choice(len(tasks), p=p / p.sum()))]](rng, scene)
        if made:
            out.append(made)
        if len(out) == n:
            break
    return out


def corpus(rng, vocabulary):
    """Text for the vocabulary: our own dialogues, and plain English so that it is not all that it knows."""
    yield SYSTEM
    for _ in range(3000):
        for d in draw(rng, symbolic_scene(rng, vocabulary), 4):
            text = render([t.question for t in d.turns], [t.answer for t in d.turns])
            yield from text.replace("<im_patch>", "").replace("<bbox>", "").split("\n")[2:]
    for name in vocabulary * 20:
        yield f"a {name}"
    for topic in pydoc_data.topics.topics.values():
        yield from (line.strip() for line in topic.split("\n") if line.strip().isascii())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1800)
    parser.add_argument("--scenes", type=int, default=8, help="scenes a step")
    parser.add_argument("--lr", type=float, default=1.5e-3)
    args = parser.parse_args()
    args.steps = shortened(args.steps)
    args.out.mkdir(parents=True, exist_ok=True)
    vocabulary = [c.name for c in concepts()]

    path = args.out / "tokenizer.model"
    if not path.exists():
        train_tokenizer(corpus(np.random.default_rng(1), vocabulary), path, N_PIECES)
    tokenizer = Tokenizer(path)
    prefix = shared_prefix(tokenizer)
    torch.manual_seed(2)
    model = Gpt4Roi(Config(vocab=tokenizer.n_vocab))
    symbols = Symbols(len(vocabulary), model.cfg.n_mid)
    scaffold.build(model, symbols, vocabulary, tokenizer)
    extractor = model.extractor.roi_align
    learned = [*model.model.embed_tokens.parameters(), *model.model.layers.parameters(),
               *model.model.norm.parameters(), *model.lm_head.parameters(), *extractor.updims.parameters()]
    given = scaffold.parameters(model)  # easily spoiled
    is_given = {id(p) for p in given}
    trained = [p for p in learned if id(p) not in is_given]
    optimizer = torch.optim.AdamW([{"params": trained, "peak": args.lr}, {"params": given, "peak": GIVEN * args.lr}],
                                  betas=(0.9, 0.98), weight_decay=0.01)
    modules = {"model": model, "symbols": symbols}
    state = args.out / "language.pt"
    first = load_state(state, modules, optimizer)
    if first == 0:
        save_state(state, modules, optimizer, 0)  # the region extractor may learn the symbols at the same time
    log = Log(args.out / "language.log")
    for step in range(first, args.steps):
        rng = np.random.default_rng((3, step))
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * cosine(step, args.steps, warmup=100)
        if step < LATER * args.steps:
            optimizer.param_groups[1]["lr"] = 0
        made, owners, objects = [], [], []
        for i in range(args.scenes):
            scene = symbolic_scene(rng, vocabulary)
            objects += scene.objects
            for d in draw(rng, scene, 10):
                made += examples(tokenizer, prefix, d)
            owners += [i] * (len(made) - len(owners))
        batch = Batch(tokenizer, prefix, made, owners, with_image=False)
        regions = extractor(seen(rng, symbols, objects, min(1, step / (0.6 * args.steps))), boxes_of(objects))
        row_of = {id(o): i for i, o in enumerate(objects)}
        with reduced():
            loss, right = answer_loss(model(batch, regions, row_of), batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained + given, 1.0)
        optimizer.step()
        log.step(step, args.steps, loss=loss.item(), right=right)
        if (step + 1) % 200 == 0 or step + 1 == args.steps:
            save_state(state, modules, optimizer, step + 1)


if __name__ == "__main__":
    main()
