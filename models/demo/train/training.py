"""What all stages of the training share: loss, schedule, log, resumable state."""
import json
import math
import os
import time

import torch
import torch.nn.functional as F

JITTER = 0.04  # of a box's side
SHARE = float(os.environ.get("SHARE", 1))  # of all steps, to try everything in a short time


def shortened(steps):
    """The steps to go where `steps` are planned."""
    return max(10, round(SHARE * steps))


def reduced():
    """Products in bfloat16 where the processor has instructions for them: elsewhere they take many times as long."""
    return torch.autocast("cpu", torch.bfloat16, enabled=torch.ops.mkldnn._is_mkldnn_bf16_supported())


def answer_loss(logits, batch):
    """Mean cross-entropy over the ids of all answers, and the share predicted right."""
    loss = F.cross_entropy(logits, batch.targets)
    return loss, (logits.argmax(-1) == batch.targets).float().mean().item()


def jittered(rng, boxes):
    """Boxes [n, 4] as a detector might give them."""
    sides = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    return boxes + JITTER * sides * torch.from_numpy(rng.normal(size=boxes.shape)).float().clamp(-2, 2)


def cosine(step, steps, warmup):
    """Share of the learning rate: linear warm-up, then a cosine down to a fiftieth."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def save_state(path, modules, optimizer, step):
    """Writes beside, then renames: a cut run keeps the state before."""
    state = {name: m.state_dict() for name, m in modules.items()}
    beside = path.with_suffix(".tmp")
    torch.save({**state, "optimizer": optimizer.state_dict() if optimizer else None, "step": step}, beside)
    os.replace(beside, path)


def load_state(path, modules, optimizer=None):
    """Continues from `path` if it is there; returns the step to go on with."""
    if not path.exists():
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    for name, m in modules.items():
        m.load_state_dict(state[name])
    if optimizer:
        optimizer.load_state_dict(state["optimizer"])
    return state["step"]


class Log:
    """One JSON line every ten steps, in a file and on the terminal."""

    def __init__(self, path, every=10):
        self.file, self.every = open(path, "a"), every
        self.sums, self.n, self.start = {}, 0, time.time()

    def step(self, step, steps, **values):
        for name, v in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + v
        self.n += 1
        if self.n == self.every or step + 1 == steps:
            row = {"step": step + 1, **{k: round(v / self.n, 4) for k, v in self.sums.items()},
                   "seconds": round(time.time() - self.start, 1)}
            print(json.dumps(row), flush=True)
            print(json.dumps(row), file=self.file, flush=True)
            self.sums, self.n = {}, 0
