"""What the language model starts from: heads that look back, find what is alike, point, and copy.

A small transformer needs thousands of steps until it finds such circuits by itself (previous-token heads, copying), and
never found in ten thousand which region is the one that a word names. Given at the start, and slow to change, they leave
to be learned where to look and what to say.

* Some coordinates are flags (`CONSTANT` and those below). One that is the same for all vectors turns queries and keys into
  constants: with rotary positions, a head of these looks a fixed number of tokens back. One that only regions have lets a
  head look for regions, and so on.
* Words are written alike where they are read, said, and given as regions (`symbolic.Symbols.spell`). So values can be
  copied from anywhere to the output, and a head whose queries and keys are the same projection finds regions that are
  like a word, words that are like a region, and regions that are alike. It sets a flag; where there is nothing alike it
  rests at the first token.
* A later head looks for flags and says what stands in front: the number of a region, or the letter of an option.
"""
from dataclasses import dataclass

import torch
from torch import nn

import places

BACK = (1, 2, 3, 4)  # tokens that the heads of the first layer look back
FAST, SLOW = 8, 12  # rotary pairs that tell neighbours apart; and from here on, that hardly notice distance
LOOKED, COPIED = 0.5, 0.5  # how much of what is seen is passed on
SHARP_BACK, SHARP_REGION, SHARP_SELF = 3.3, 1.3, 2.2
# The flags: of every vector, of regions, of what was found to be like another (word and region, two regions), of the
# first token, and of words that name things.
CONSTANT, REGION, ALIKE, TWIN, FIRST, NOUN = range(6)
N_FLAGS = 6
LOUD = {CONSTANT: 1.0, REGION: 2.0, FIRST: 3.0, NOUN: 1.0}
LIKENESS = 1.7  # how sharply alike vectors are told from others
PREFERRED = 24.0  # how sharply what is looked for, and the first token by those that do not look
SHARP_FLAG, SHARP_DIGIT = 16.0, 16.0
GIVEN_LAYERS = 4  # that are given; the rest has only heads that copy
DIGIT, LETTER = 0, 2  # of `BACK`: what stands in front of a region's vector, and of an option


def frame(m, seed):
    """A random orthogonal matrix."""
    return nn.init.orthogonal_(torch.empty(m, m), generator=torch.Generator().manual_seed(seed))


def head(weight, h, n_heads):
    """Rows of a projection to heads."""
    return weight.view(n_heads, -1, weight.shape[1])[h]


def columns(weight, h, n_heads):
    """Columns of a projection from heads."""
    return weight.view(weight.shape[0], n_heads, -1)[:, h]


def slow_rows(attention):
    """Rows of a head that hardly notice distance, those first that notice it least."""
    width = attention.q_proj.weight.shape[0] // attention.heads
    return [i for i in range(width) if i % (width // 2) >= SLOW][::-1]


def quieten(attention):
    """Leaves little of the random queries and keys."""
    attention.q_proj.weight.mul_(0.1)
    attention.k_proj.weight.mul_(0.1)


def looks_back(attention, codes, marks, theta):
    """Each head writes what stands `BACK[h]` tokens back, as far as 64 numbers tell, into coordinates of its own."""
    q, k = attention.q_proj.weight, attention.k_proj.weight
    pairs = q.shape[0] // attention.heads // 2
    freq = theta ** (-torch.arange(FAST) / pairs)
    quieten(attention)
    for h, distance in enumerate(BACK):
        head(q, h, attention.heads)[:FAST, CONSTANT] = SHARP_BACK
        head(k, h, attention.heads)[:FAST, CONSTANT] = SHARP_BACK * (freq * distance).cos()
        head(k, h, attention.heads)[pairs:pairs + FAST, CONSTANT] = SHARP_BACK * (freq * distance).sin()
    attention.v_proj.weight.copy_(codes)
    attention.o_proj.weight.copy_(LOOKED * marks.T)
    attention.o_proj.weight[:N_FLAGS] = 0


def looks_for_regions(attention):
    """All heads look at regions, a region at itself."""
    q, k = attention.q_proj.weight, attention.k_proj.weight
    slow = slow_rows(attention)
    quieten(attention)
    for h in range(attention.heads):
        head(q, h, attention.heads)[:FAST, CONSTANT] = SHARP_SELF
        head(k, h, attention.heads)[:FAST, CONSTANT] = SHARP_SELF
        head(q, h, attention.heads)[slow, CONSTANT] = SHARP_REGION
        head(k, h, attention.heads)[slow, REGION] = SHARP_REGION


def copies(attention, turned):
    """Adds what is looked at, turned (rows times `turned`)."""
    value = nn.init.orthogonal_(attention.v_proj.weight)
    attention.o_proj.weight.copy_(COPIED * turned.T @ value.T)
    attention.o_proj.weight[:N_FLAGS] = 0


@dataclass(frozen=True)
class Search:
    """A head with which vectors that have one coordinate look for vectors with another that are like them."""
    looking: int
    wanted: int
    flag: int  # what is then set
    doubt: float  # how much the first token attracts where nothing is alike
    apart: float  # how much a vector avoids itself


WORDS = Search(NOUN, REGION, ALIKE, 16.0, 0.0)
REGIONS = Search(REGION, NOUN, ALIKE, 12.0, 2.0)
TWINS = Search(REGION, REGION, TWIN, 18.0, 2.5)


def finds_alike(attention, seed, searches, boxes):
    """One search a head: sets a flag on vectors that are like an earlier one, wherever the `boxes` (their directions in
    region vectors) are."""
    q, k, v, o = (getattr(attention, f"{n}_proj").weight for n in "qkvo")
    quieten(attention)
    rows = slow_rows(attention)
    o *= 0.1
    o[:N_FLAGS] = 0
    for h, search in enumerate(searches):
        code = frame(q.shape[1], seed + h)[:len(rows) - 2]
        code[:, :N_FLAGS] = 0
        code -= code @ boxes.T @ boxes
        hq, hk, hv = (head(w, h, attention.heads) for w in (q, k, v))
        hq[rows[2:]] = hk[rows[2:]] = LIKENESS * code
        hq[rows[:2]] = hk[rows[:2]] = 0
        hq[rows[0], search.looking] = 1
        hq[rows[1], NOUN + REGION - search.looking] = 1
        hk[rows[0], search.wanted] = PREFERRED
        hk[rows[0], FIRST] = search.doubt
        hk[rows[1], FIRST] = PREFERRED
        hq[:FAST, CONSTANT] = search.apart
        hk[:FAST, CONSTANT] = -search.apart
        hv[0] = 0
        hv[0, search.wanted] = 1
        columns(o, h, attention.heads)[search.flag, 0] = 1


def answers(attention, codes, marks, digits, rotation):
    """Two heads say what stands in front of a vector that was found to be alike; two tell where regions 1 and 2 are."""
    q, k, v, o = (getattr(attention, f"{n}_proj").weight for n in "qkvo")
    quieten(attention)
    rows = slow_rows(attention)
    o *= 0.1
    o[:N_FLAGS] = 0
    width = len(codes) // attention.heads
    part = lambda x, i: x[i * width:(i + 1) * width]
    for h, back in enumerate((DIGIT, LETTER)):
        hq, hk = head(q, h, attention.heads), head(k, h, attention.heads)
        hq[rows[0]], hk[rows[0]] = 0, 0
        hq[rows[0], CONSTANT], hk[rows[0], ALIKE] = 1, SHARP_FLAG
        head(v, h, attention.heads).copy_(part(marks, back))
        columns(o, h, attention.heads).copy_(part(codes, back).T)
    apart = frame(len(codes), 14)
    for h, digit in enumerate(digits, 2):
        hq, hk, hv = (head(w, h, attention.heads) for w in (q, k, v))
        hq[rows[0]] = 0
        hq[rows[0], CONSTANT] = 1
        code = part(marks, DIGIT).T @ part(codes, DIGIT) @ digit
        hk[rows[0]] = SHARP_DIGIT * code / code.norm()
        hk[rows[0], :N_FLAGS] = 0
        hk[rows[0], REGION] = SHARP_DIGIT
        hv.copy_(rotation[-width:])
        hv[0] = 0
        hv[0, TWIN] = 1
        columns(o, h, attention.heads).copy_(part(apart, h).T)
    o[:N_FLAGS] = 0


def build(model, symbols, names, tokenizer):
    """Sets language model, symbols, and what region vectors are made of."""
    body, regions = model.model, model.extractor.roi_align
    m = model.cfg.hidden
    codes, marks, aside = frame(m, 11), frame(m, 12), frame(m, 13)
    with torch.no_grad():
        pieces = body.embed_tokens.weight
        pieces[:, :N_FLAGS] = 0
        rotation, (same, second, colour) = symbols.spell(names, tokenizer, pieces)
        regions.updims.weight.copy_(pieces.std() * rotation.T)
        regions.updims.bias.zero_()
        model.lm_head.weight.copy_(pieces / m ** 0.5)
        regions.updims.weight[:N_FLAGS] = 0
        regions.updims.bias[REGION] = LOUD[REGION]
        # Pictures have none of the flags.
        body.mm_projector.weight[:N_FLAGS] = 0
        body.mm_projector.bias[:N_FLAGS] = 0
        for constant in (pieces[:, CONSTANT], regions.updims.bias[:1], body.mm_projector.bias[:1]):
            constant.fill_(LOUD[CONSTANT])
        pieces[[tokenizer.spm.encode(name)[0] for name in names], NOUN] = LOUD[NOUN]
        pieces[1, CONSTANT], pieces[1, FIRST] = 0, LOUD[FIRST]
        for block in body.layers:
            block.mlp.down_proj.weight[:N_FLAGS] = 0
        layers = [block.self_attn for block in body.layers]
        boxes = rotation[symbols.n_used:]
        looks_back(layers[0], codes, marks, model.cfg.rope_theta)
        finds_alike(layers[1], 20, (WORDS, WORDS, REGIONS, REGIONS), boxes)
        finds_alike(layers[2], 30, (TWINS, TWINS, WORDS, REGIONS), boxes)
        digits = [pieces[tokenizer.spm.piece_to_id(d)] for d in "12"]
        answers(layers[3], codes, marks, digits, rotation)
        looks_for_regions(layers[4])
        # Turned at random: later layers can tell a region's words from the words that stand in the text.
        copies(layers[4], aside)
        copies(layers[5], same)
        copies(layers[6], second)
        copies(layers[7], colour)
    places.learn(regions.pos_embedd, symbols.n_used)


def parameters(model):
    """What is given: a large learning rate would spoil it before the rest has learned to use it."""
    body, regions = model.model, model.extractor.roi_align
    out = [*body.embed_tokens.parameters(), *regions.updims.parameters(), *regions.pos_embedd.parameters()]
    for block in body.layers[:GIVEN_LAYERS - 1]:
        out += block.parameters()
    last = body.layers[GIVEN_LAYERS - 1]
    return out + [*last.self_attn.parameters(), *last.input_layernorm.parameters()]
