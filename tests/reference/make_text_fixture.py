"""Writes runtime/tests/data/text_fixture.json: what SentencePiece makes of pieces and of ids.

    pip install sentencepiece==0.2.3
    python tests/reference/make_text_fixture.py GOLDENS > runtime/tests/data/text_fixture.json

GOLDENS is the folder of reference data. For each of its two tokenizers the fixture holds
  special   ids of the special tokens,
  encode    plain piece -> ids, for every piece of the reference prompts and texts,
  pieces    id -> text, for the ids that occur in `decode` and in the reference answers,
  decode    [ids, text]: random ids decoded by the rules of the slow Hugging Face tokenizer.
"""
import json
import os
import random
import re
import sys

import sentencepiece

ADDED = ["<im_patch>", "<bbox>", "<point>", "<im_start>", "<im_end>", "[PAD]"]


class Tokenizer:
    def __init__(self, folder):
        read = lambda name: json.load(open(os.path.join(folder, name)))
        self.sp = sentencepiece.SentencePieceProcessor()
        self.sp.Load(os.path.join(folder, "tokenizer.model"))
        self.added = read("added_tokens.json")
        names = read("special_tokens_map.json")
        self.core, self.plain = {}, set()
        for key in ("bos", "eos", "unk", "pad"):
            entry = names[key + "_token"]
            text = entry if isinstance(entry, str) else entry["content"]
            if isinstance(entry, str):
                self.plain.add(text)
            self.core[key] = text
        texts = set(self.added) | set(self.core.values())
        self.texts = sorted(texts, key=lambda t: (-len(t), t))

    def id(self, text):
        return self.added.get(text, self.sp.PieceToId(text))

    def strips(self, text):
        return text in self.added or text in self.plain

    def plain_pieces(self, text):
        pattern = "(" + "|".join(map(re.escape, self.texts)) + ")"
        parts = [p for p in re.split(pattern, text) if p]
        for i, part in enumerate(parts):
            if part in self.texts and self.strips(part):
                if i + 1 < len(parts):
                    parts[i + 1] = parts[i + 1].lstrip()
                if i:
                    parts[i - 1] = parts[i - 1].rstrip()
        return {p for p in parts if p and p not in self.texts}

    def decode(self, ids):
        drop = {self.id(t) for t in self.core.values()}
        names = {i: t for t, i in self.added.items()}
        out, run = [], []
        for i in ids + [None]:
            if i in drop:
                continue
            if i is None or i in names:
                if run:
                    out.append(self.sp.DecodeIds(run))
                run = []
                out += [names[i]] if i is not None else []
            else:
                run.append(i)
        return " ".join(out)

    def random_ids(self, rng):
        byte = lambda: rng.randrange(3, 259)
        smile = [3 + b for b in rng.choice(["🙂", "é", "日本"]).encode()]
        kinds = [lambda: [byte()], lambda: smile[: rng.randrange(1, len(smile) + 1)],
                 lambda: smile, lambda: [rng.choice(self.pool)], lambda: [rng.choice(self.pool)],
                 lambda: [rng.choice(list(self.added.values()))], lambda: [rng.randrange(0, 3)]]
        return sum((rng.choice(kinds)() for _ in range(rng.randrange(1, 9))), [])

    def fixture(self, texts, generated, rng):
        blank = "\u2581"
        wanted = [blank, blank * 2, blank + "a", "a", blank + "Assistant", ":", "#", "##", "###", "s"]
        self.pool = [i for i in map(self.sp.PieceToId, wanted) if i]
        self.pool += [rng.randrange(259, self.sp.GetPieceSize()) for _ in range(40)]
        decode = [[ids, self.decode(ids)] for ids in (self.random_ids(rng) for _ in range(150))]
        decode += [[ids, self.decode(ids)] for ids in generated]
        known = range(self.sp.GetPieceSize())
        used = sorted({i for ids, _ in decode for i in ids if i in known})
        pieces = {i: self.sp.IdToPiece(i) for i in used}
        plain = sorted(set().union(*map(self.plain_pieces, texts)) if texts else [])
        return {"special": {k: self.id(t) for k, t in self.core.items()},
                "split": [[t, self.id(t), self.strips(t)] for t in self.texts],
                "encode": {p: self.sp.EncodeAsIds(p) for p in plain},
                "pieces": pieces, "decode": decode}


def main(goldens):
    rng = random.Random(7)
    read = lambda *name: json.load(open(os.path.join(goldens, *name)))
    cases = read("text_cases.json")
    texts = [c["text"] for c in cases["tokenise"]]
    texts += [r["prompt"] for d in cases["dialogues"] for r in d if "prompt" in r]
    out = {}
    for name in ("p1-real-vocab", "p2-delta-multiround"):
        rounds = read(name, "golden.json")["rounds"]
        generated = [r["greedy_tokens"] for r in rounds]
        prompts = [r["prompt"] for r in rounds]
        if name.startswith("p1"):
            prompts += texts
            generated += [c["generated_ids"] for c in cases["stop"]]
        tokenizer = Tokenizer(os.path.join(goldens, name, "checkpoint"))
        out[name] = tokenizer.fixture(prompts, generated, rng)
    json.dump(out, sys.stdout, ensure_ascii=False, separators=(",", ":"))
    print()


if __name__ == "__main__":
    main(sys.argv[1])
