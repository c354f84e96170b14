"""Scenes without pictures: objects as words, boxes and colours.

The language model learns to talk about regions from these before it ever meets a picture, as Vicuna
could talk before GPT4RoI gave it eyes. `Symbols` turns an object into what the region extractor
will have to put in its place.
"""
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "grey")
MAX_OBJECTS = 10
NEAR = 0.3  # weight of the distance to a symbol, beside the choice of it


@dataclass
class SymbolicObject:
    concept: int
    name: str
    box: tuple
    colour: str
    colour_clear: bool


@dataclass
class SymbolicScene:
    vocabulary: list
    objects: list = field(default_factory=list)


def symbolic_scene(rng, vocabulary):
    """Objects of 20 to 140 pixels anywhere; now and then two of a kind."""
    scene = SymbolicScene(vocabulary)
    for _ in range(int(rng.integers(1, MAX_OBJECTS + 1))):
        concept = int(rng.integers(len(vocabulary)))
        if scene.objects and rng.random() < 0.1:
            concept = scene.objects[0].concept
        long = rng.uniform(20, 140)
        w, h = (long, long * rng.uniform(0.4, 1)) if rng.random() < 0.5 else (long * rng.uniform(0.4, 1), long)
        x, y = rng.uniform(0, 224 - w), rng.uniform(0, 224 - h)
        colour = COLOURS[int(rng.integers(len(COLOURS)))]
        scene.objects.append(SymbolicObject(concept, vocabulary[concept], (x, y, x + w, y + h), colour,
                                            bool(rng.random() < 0.7)))
    return scene


class Symbols(nn.Module):
    """A vector for each concept and colour. Fixed: the region extractor and the language model learn towards the same
    ones, each on its own."""

    def __init__(self, n_concepts, n_mid):
        super().__init__()
        self.concept = nn.Embedding(n_concepts, n_mid)
        self.colour = nn.Embedding(len(COLOURS) + 1, n_mid)
        self.requires_grad_(False)

    def spell(self, names, tokenizer, pieces):
        """Makes each vector of the embeddings `pieces` [V, M] of its name's pieces, each turned by its place in the
        name. Then to read a region is to copy a word, which is learned once for all words.

        The vectors leave the last coordinates empty, for what the box itself says. Returns the rotation [M, M] from
        their coordinates to those of `pieces`, and those that then give the first piece, the second, and the colour."""
        m = pieces.shape[1]
        turn = nn.init.orthogonal_(torch.empty(m, m), generator=torch.Generator().manual_seed(7))
        aside = nn.init.orthogonal_(torch.empty(m, m), generator=torch.Generator().manual_seed(8))

        def vector(name):
            v = torch.zeros(m)
            for piece in reversed(tokenizer.spm.encode(name)):
                v = pieces[piece] + v @ turn
            return v / v.std()

        concepts = torch.stack([vector(name) for name in names])
        colours = torch.stack([vector(name) for name in COLOURS]) @ aside
        rotation = torch.linalg.svd(torch.cat([concepts, colours]), full_matrices=True)[2]
        self.concept.weight.copy_(concepts @ rotation.T)
        self.colour.weight[1:] = colours @ rotation.T
        self.colour.weight[0] = 0
        return rotation, (torch.eye(m), turn.T, aside.T)

    @property
    def n_used(self):
        """Coordinates that are not empty."""
        return len(self.concept.weight) + len(COLOURS)

    @staticmethod
    def indices(objects):
        colours = [COLOURS.index(o.colour) + 1 if o.colour_clear else 0 for o in objects]
        return torch.tensor([o.concept for o in objects]), torch.tensor(colours)

    def forward(self, objects):
        concept, colour = self.indices(objects)
        return self.concept(concept) + self.colour(colour)

    def loss(self, content, objects):
        """How far `content` [n, M] is from the objects' symbols: as a distance, and as a choice among
        all of them. Also the share of objects whose concept is nearest."""
        concept, colour = self.indices(objects)
        wanted = self(objects)
        score = lambda table: content @ table.weight.T / content.shape[1] ** 0.5
        concepts, colours = score(self.concept), score(self.colour)
        loss = NEAR * F.mse_loss(content, wanted) + F.cross_entropy(concepts, concept) + F.cross_entropy(colours, colour)
        return loss, (concepts.argmax(1) == concept).float().mean().item()


def boxes_of(objects):
    """Boxes [n, 4] as fractions of the picture."""
    return torch.tensor(np.array([o.box for o in objects]) / 224, dtype=torch.float32)
