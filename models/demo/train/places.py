"""What the embedding of a box starts from: where the box lies and how large it is, told apart as the questions do."""
import torch
import torch.nn.functional as F

from questions import LARGE, MEDIUM, SMALL, THIRDS
from training import cosine

SIDE = 224
STEPS, BOXES, LR = 1500, 2048, 3e-3
LOUD = 4.0  # of what is said, beside symbols of one a coordinate
SOFT = 3.0  # pixels over which one answer turns into another


def boxes(n, generator):
    """Random boxes [n, 4] as fractions, of the sizes that scenes have."""
    sides = torch.rand(n, 2, generator=generator) * 0.6 + 0.05
    corner = torch.rand(n, 2, generator=generator) * (1 - sides)
    return torch.cat([corner, corner + sides], 1)


def classes(v, borders):
    """Shares [n, k + 1] of the intervals between `k` borders, softly."""
    above = [torch.ones_like(v)] + [torch.sigmoid((v - b) / SOFT) for b in borders] + [torch.zeros_like(v)]
    return torch.stack([low - high for low, high in zip(above, above[1:])], 1)


def described(boxes):
    """What is said of boxes, [n, 15]: thirds along both axes, size, and the plain measures."""
    x1, y1, x2, y2 = (boxes * SIDE).unbind(1)
    w, h = x2 - x1, y2 - y1
    sizes = ((SMALL + MEDIUM[0]) / 2, (MEDIUM[1] + LARGE) / 2)
    said = torch.cat([classes((x1 + x2) / 2, THIRDS), classes((y1 + y2) / 2, THIRDS), classes(torch.maximum(w, h), sizes)], 1)
    plain = torch.stack([x1 + x2, y1 + y2, w, h, (w * h).log(), torch.maximum(w, h)], 1) / SIDE
    return torch.cat([said, plain], 1)


def learn(pos_embedd, n_used):
    """Trains the embedding of boxes, a small network, to describe them in its coordinates behind `n_used`."""
    generator = torch.Generator().manual_seed(9)
    m = pos_embedd[-1].weight.shape[0]
    sample = described(boxes(20000, generator))
    mean, std = sample.mean(0), sample.std(0)
    axes = torch.linalg.qr(torch.randn(m - n_used, len(mean), generator=generator))[0]
    code = LOUD * axes.T
    with torch.no_grad():
        pos_embedd[-1].weight[:n_used] = 0
        pos_embedd[-1].bias.zero_()
    optimizer = torch.optim.Adam(pos_embedd.parameters(), lr=LR)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = LR * cosine(step, STEPS, warmup=50)
        some = boxes(BOXES, generator)
        loss = F.mse_loss(pos_embedd(some)[:, n_used:], (described(some) - mean) / std @ code)
        optimizer.zero_grad()
        loss.backward()
        pos_embedd[-1].weight.grad[:n_used] = 0
        pos_embedd[-1].bias.grad[:n_used] = 0
        optimizer.step()
    return loss.item()
