"""Where the region extractor starts from.

Left to chance, its many small layers pass on little of what the tower sees, and hours go by before it
names anything. So it starts as a linear probe that is spread over its layers: the input convolutions
are the projection of all taps that best tells the concepts apart (Fisher's linear discriminants,
from some thousand boxes), the 3x3 kernels pass their channels through, and the wide layer pools
quarters of the box.
"""
import numpy as np
import torch
from scipy.linalg import eigh
from torch import nn

from model import interpolation
from symbolic import boxes_of

N_SCENES = 3000
RIDGE = 0.02  # share of the mean variance added to the within-class one
NOISE = 0.3  # of a fresh kernel, beside the one that passes through
SHIFT = 0.7  # of the group norms: keeps most of what passes through above the ReLU


def pooled(features, n_scenes):
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


def pass_through(conv):
    """A fresh kernel of less weight, and one that copies each channel."""
    nn.init.kaiming_normal_(conv.weight)
    copy = torch.empty_like(conv.weight)
    nn.init.dirac_(copy)
    conv.weight.data.mul_(NOISE).add_(copy)


def start(model, features):
    """Sets the region extractor of a fresh model."""
    cfg, fuse, regions = model.cfg, model.extractor.mlvl_fuse, model.extractor.roi_align
    c = cfg.n_channels
    x, y = pooled(features, min(N_SCENES, len(features)))
    directions = discriminants(x, y, c)
    directions /= (x @ directions.T).std(0)[:, None]
    parts = torch.from_numpy(directions).float().split(cfg.vision_width, 1)
    for conv, part, mean in zip(fuse.input_conv, parts, torch.from_numpy(x.mean(0)).float().split(cfg.vision_width)):
        conv.weight.data.zero_()[:, :cfg.vision_width, 0, 0] = part
        conv.bias.data.copy_(-part @ mean)
    for layer in fuse.fuse_convs:
        pass_through(layer.conv)
        layer.gn.bias.data.fill_(SHIFT)
    for conv in regions.pconvs:
        pass_through(conv)
    quarters = nn.init.orthogonal_(torch.empty(cfg.n_mid, c * 4)).view(cfg.n_mid, c, 2, 2)
    cells = quarters.repeat_interleave(cfg.roi // 2, 2).repeat_interleave(cfg.roi // 2, 3)
    regions.flatten_linear.weight.data.copy_(cells.flatten(1) / (cfg.roi // 2) ** 2)
    regions.flatten_linear.bias.data.zero_()
