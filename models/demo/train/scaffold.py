"""What the language model starts from: heads that look back, look for regions, and copy.

A small transformer needs thousands of steps until it finds these circuits by itself (previous-token heads, copying), and
hardly learns anything about regions before. Given at the start, and free to change, they leave to be learned where
to look and what to say.

* Every vector gets one coordinate that is the same for all of them, which turns queries and keys into
  constants: with rotary positions, a head of these looks a fixed number of tokens back. Region vectors get another that
  only they have, so that a head can look for regions.
* Words are written alike where they are read, said, and given as regions (`symbolic.Symbols.spell`), so that
  values can be copied from anywhere to the output.
"""
import torch
from torch import nn

import places

BACK = (1, 2, 3, 4)  # tokens that the heads of the first layer look back
FAST, SLOW = 8, 12  # rotary pairs that tell neighbours apart; and from here on, that hardly notice distance
LOOKED, COPIED = 0.5, 0.5  # how much of what is seen is passed on
SHARP_BACK, SHARP_REGION, SHARP_SELF = 3.3, 1.3, 2.2
CONSTANT, REGION = 1.0, 2.0


def frame(m, seed):
    """A random orthogonal matrix."""
    return nn.init.orthogonal_(torch.empty(m, m), generator=torch.Generator().manual_seed(seed))


def head(weight, h, n_heads):
    """Rows of a projection to heads."""
    return weight.view(n_heads, -1, weight.shape[1])[h]


def looks_back(attention, codes, marks):
    """Each head writes what stands `BACK[h]` tokens back, as far as 64 numbers tell, into coordinates of its own."""
    q, k = attention.q_proj.weight, attention.k_proj.weight
    pairs = q.shape[0] // attention.heads // 2
    freq = 10000.0 ** (-torch.arange(FAST) / pairs)
    q *= 0.1
    k *= 0.1
    for h, distance in enumerate(BACK):
        head(q, h, attention.heads)[:FAST, 0] = SHARP_BACK
        head(k, h, attention.heads)[:FAST, 0] = SHARP_BACK * (freq * distance).cos()
        head(k, h, attention.heads)[pairs:pairs + FAST, 0] = SHARP_BACK * (freq * distance).sin()
    attention.v_proj.weight.copy_(codes)
    attention.o_proj.weight.copy_(LOOKED * marks.T)


def looks_for_regions(attention):
    """All heads look at regions, a region at itself."""
    q, k = attention.q_proj.weight, attention.k_proj.weight
    width = q.shape[0] // attention.heads
    slow = torch.tensor([i for i in range(width) if i % (width // 2) >= SLOW])
    q *= 0.1
    k *= 0.1
    for h in range(attention.heads):
        head(q, h, attention.heads)[:FAST, 0] = SHARP_SELF
        head(k, h, attention.heads)[:FAST, 0] = SHARP_SELF
        head(q, h, attention.heads)[slow, 0] = SHARP_REGION
        head(k, h, attention.heads)[slow, 1] = SHARP_REGION


def copies(attention, turned):
    """Adds what is looked at, turned (rows times `turned`)."""
    value = nn.init.orthogonal_(attention.v_proj.weight)
    attention.o_proj.weight.copy_(COPIED * turned.T @ value.T)


def build(model, symbols, names, tokenizer):
    """Sets language model, symbols, and what region vectors are made of."""
    body, regions = model.model, model.extractor.roi_align
    m = model.cfg.hidden
    codes, marks, aside = frame(m, 11), frame(m, 12), frame(m, 13)
    with torch.no_grad():
        pieces = body.embed_tokens.weight
        pieces[:, :2] = 0
        rotation, (same, second, colour) = symbols.spell(names, tokenizer, pieces)
        regions.updims.weight.copy_(pieces.std() * rotation.T)
        regions.updims.bias.zero_()
        model.lm_head.weight.copy_(pieces / m ** 0.5)
        regions.updims.weight[:2] = 0
        regions.updims.bias[1] = REGION
        for constant in (pieces[:, 0], regions.updims.bias[:1], body.mm_projector.bias[:1]):
            constant.fill_(CONSTANT)
        layers = [block.self_attn for block in body.layers]
        looks_back(layers[0], codes, marks)
        looks_for_regions(layers[1])
        # Turned at random: later layers can tell a region's words from the words that stand in the text.
        copies(layers[1], aside)
        copies(layers[2], same)
        copies(layers[4], second)
        copies(layers[5], colour)
    places.learn(regions.pos_embedd, symbols.n_used)
