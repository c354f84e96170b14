"""Where the region extractor starts from.

Left to chance, its many small layers pass on little of what the tower sees, and hours go by before it
names anything. So it starts as a linear probe that is spread over its layers: the input convolutions
are the projection of all taps that best tells the concepts apart (Fisher's linear discriminants,
from some thousand boxes), the kernels pass their channels through, and the wide layer brings the
quarters of a box as near to its symbol as a linear layer can (ridge regression).
"""
import numpy as np
import torch
import torch.nn.functional as F
from scipy.linalg import eigh
from torch import nn

from model import interpolation, roi_align
from symbolic import boxes_of

N_SCENES = 3000
RIDGE = 0.02  # share of the mean variance added to the within-class one
RIDGE_WIDE = 0.01  # the same for the quarters
RIDGE_WHITE = 0.001  # the same for the hidden states
NOISE = 0.3  # of a fresh kernel, beside the one that passes through
SHIFT = 0.7  # of the group norms: keeps most of what passes through above the ReLU


def averages(features, n_scenes):
    """The mean of all taps over each box, [n, taps * D], and its concept."""
    rows, concepts = [], []
    for i in range(0, n_scenes, 50):
        indices = range(i, min(i + 50, n_scenes))
        maps = torch.cat(features.states(indices), 2)
        for k, objects in zip(range(len(indices)), (features.objects[j] for j in indices)):
            grid = maps[k].reshape(16, 16, -1)
            b = boxes_of(objects)
            wx, wy = (interpolation(b[:, a], b[:, a + 2], 16, 1)[:, 0] for a in (0, 1))
            rows.append(torch.einsum("nh,nw,hwc->nc", wy, wx, grid))
            concepts += [o.concept for o in objects]
    return torch.cat(rows).double().numpy(), np.array(concepts)


def discriminants(x, y, n):
    """`n` directions [n, D] in which classes differ most, compared with how they vary inside."""
    classes = np.unique(y)
    means = np.stack([x[y == c].mean(0) for c in classes])
    rest = x - means[np.searchsorted(classes, y)]
    within = rest.T @ rest / len(x)
    within += RIDGE * np.trace(within) / len(within) * np.eye(len(within))
    spread = means - means.mean(0)
    return eigh(spread.T @ spread / len(classes), within, subset_by_index=(x.shape[1] - n, x.shape[1] - 1))[1].T


def pass_through(conv, pointwise):
    """A fresh kernel of less weight, and one that copies each channel; `pointwise` has a centre only."""
    nn.init.kaiming_normal_(conv.weight)
    copy = torch.empty_like(conv.weight)
    nn.init.dirac_(copy)
    kept = copy.amax((0, 1)) if pointwise else 1
    conv.weight.data.mul_(NOISE).mul_(kept).add_(copy)


@torch.no_grad()
def pooled(model, features, n_scenes):
    """What the wide layer reads of each box, [n, C, 14, 14], and the objects."""
    rows, found = [], []
    for i in range(0, n_scenes, 20):
        indices = range(i, min(i + 20, n_scenes))
        objects = [o for j in indices for o in features.objects[j]]
        owner = torch.tensor([k for k, j in enumerate(indices) for _ in features.objects[j]])
        levels = model.fused(features.states(indices), largest=16)
        rows.append(model.extractor.roi_align.pooled(levels, boxes_of(objects), owner))
        found += objects
    return torch.cat(rows), found


def regression(x, y):
    """Weights [m, n] and bias of the ridge regression from x [*, n] to y [*, m]."""
    x_mean, y_mean = x.mean(0), y.mean(0)
    x, y = x - x_mean, y - y_mean
    gram = x.T @ x + RIDGE_WIDE * len(x) * x.var(0).mean() * torch.eye(x.shape[1], dtype=x.dtype)
    weight = torch.linalg.solve(gram, x.T @ y).T
    return weight, y_mean - weight @ x_mean


def whitening(states):
    """The mean [D + 2] of hidden states [n, D] and the symmetric matrix that whitens the rest; coordinates are left
    alone."""
    mean = states.mean(0)
    centred = (states - mean).double()
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
    white = torch.eye(len(values) + 2)
    white[:-2, :-2] = ((vectors * (values + RIDGE_WHITE * values.mean()).rsqrt()) @ vectors.T).float()
    return F.pad(mean, (0, 2)), white


@torch.no_grad()
def condition(model, features):
    """Leaves the function as it is, and makes it easier to train (model.py, `Whitened` and `Centred`)."""
    few = features.states(range(0, min(1500, len(features)), 5))
    for conv, states in zip(model.extractor.mlvl_fuse.input_conv, few):
        conv.whiten(*whitening(states.flatten(0, 1)))
    z = pooled(model, features, min(600, len(features)))[0]
    n = model.cfg.roi**2
    spread = lambda per_channel: per_channel.repeat_interleave(n)
    model.extractor.roi_align.flatten_linear.centre(spread(z.mean((0, 2, 3))), spread(z.std((0, 2, 3))))


def start(model, features, symbols):
    """Sets the region extractor of a fresh model."""
    cfg, fuse, regions = model.cfg, model.extractor.mlvl_fuse, model.extractor.roi_align
    c = cfg.n_channels
    x, y = averages(features, min(N_SCENES, len(features)))
    directions = discriminants(x, y, c)
    directions /= (x @ directions.T).std(0)[:, None]
    parts = torch.from_numpy(directions).float().split(cfg.vision_width, 1)
    for conv, part, mean in zip(fuse.input_conv, parts, torch.from_numpy(x.mean(0)).float().split(cfg.vision_width)):
        conv.weight.data.zero_()[:, :cfg.vision_width, 0, 0] = part
        conv.bias.data.copy_(-part @ mean)
    for layer in fuse.fuse_convs:
        pass_through(layer.conv, pointwise=True)
        layer.gn.bias.data.fill_(SHIFT)
    for conv in regions.pconvs:
        pass_through(conv, pointwise=False)
    z, objects = pooled(model, features, min(N_SCENES, len(features)))
    quarters = F.adaptive_avg_pool2d(z, 2).flatten(1)
    weight, bias = regression(quarters.double(), symbols(objects).double())
    half = cfg.roi // 2
    cells = weight.view(cfg.n_mid, c, 2, 2).repeat_interleave(half, 2).repeat_interleave(half, 3) / half**2
    regions.flatten_linear.weight.data.copy_(cells.flatten(1))
    regions.flatten_linear.bias.data.copy_(bias)
