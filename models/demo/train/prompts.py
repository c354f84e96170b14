"""Prompts and token ids, by the rules of the tokenizer that GPT4RoI was trained with.

Text is split at added tokens, which strip the white space around them; each piece is encoded alone
with SentencePiece and its dummy prefix. `examples` cuts a dialogue into the prompts of its turns,
each with the answer's ids, just as the runtime will see them.
"""
import json
import re
from dataclasses import dataclass
from pathlib import Path

import sentencepiece

SYSTEM = ("A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, "
          "detailed, and polite answers to the human's questions.")
IMAGE_PREFIX = "The <image> provides an overview of the picture.\n"
ADDED = ["[PAD]", "<im_patch>", "<bbox>", "<point>", "<im_start>", "<im_end>"]
N_PATCHES = 256
IMAGE = "<im_start>" + "<im_patch>" * N_PATCHES + "<im_end>"


class Tokenizer:
    """A SentencePiece model and the added tokens behind its pieces."""

    def __init__(self, path):
        self.spm = sentencepiece.SentencePieceProcessor(model_file=str(path))
        base = self.spm.vocab_size()
        self.added = {token: base + i for i, token in enumerate(ADDED)}
        self.split = re.compile("(" + "|".join(map(re.escape, sorted(ADDED, key=len, reverse=True))) + ")")
        self.n_vocab = base + len(ADDED)

    def encode(self, text):
        """Ids of a prompt, without the first one (`<s>`)."""
        pieces, ids = self.split.split(text), []
        for i, piece in enumerate(pieces):
            if piece in self.added:
                ids.append(self.added[piece])
                continue
            piece = piece.lstrip() if i > 0 else piece
            piece = piece.rstrip() if i + 1 < len(pieces) else piece
            ids += self.spm.encode(piece) if piece else []
        return ids

    def continuation(self, text):
        """Ids of text that follows other text: without the dummy prefix."""
        ids = self.spm.encode("\n" + text)
        lead = self.spm.encode("\n")
        assert ids[:len(lead)] == lead
        return ids[len(lead):]

    def decode(self, ids):
        return self.spm.decode([i for i in ids if i < self.spm.vocab_size()])


def train_tokenizer(sentences, path, n_pieces):
    """Trains a vocabulary of LLaMA's kind on text and writes it to `path`."""
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences), model_prefix=str(Path(path).with_suffix("")), model_type="bpe",
        vocab_size=n_pieces, byte_fallback=True, split_digits=True, normalization_rule_name="identity",
        add_dummy_prefix=True, remove_extra_whitespaces=False, allow_whitespace_only_pieces=True,
        character_coverage=0.9999, unk_id=0, bos_id=1, eos_id=2, pad_id=-1, num_threads=1, minloglevel=2)
    Path(path).with_suffix(".vocab").unlink()


def write_side_files(directory, n_pieces):
    """The JSON files beside tokenizer.model, as the published checkpoint has them."""
    added = {token: n_pieces + i for i, token in enumerate(ADDED)}
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "[PAD]"}
    config = {"tokenizer_class": "LlamaTokenizer", "model_max_length": 2048, "add_bos_token": True,
              "add_eos_token": False, **special}
    for name, content in (("added_tokens", added), ("special_tokens_map", special), ("tokenizer_config", config)):
        (directory / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")


def render_question(question):
    question = re.sub(r"<(\d+)>", r"region\1 <bbox>", question.replace("<>", "<bbox>"))
    return re.sub(r"<(region\d+)>", r"\1 <bbox>", question)


def render(questions, answers):
    """The prompt in front of the next answer, whose turn is the last of `questions`."""
    text = SYSTEM + "\n\n"
    for i, question in enumerate(questions):
        head = IMAGE_PREFIX.replace("<image>", IMAGE) if i == 0 else ""
        text += "### Human: " + head + render_question(question.strip()) + "\n### "
        if i < len(answers):
            text += f"Assistant: {answers[i]}\n"
    return text


@dataclass
class Example:
    """One turn: ids behind the shared prefix, how many of them are the prompt, and the objects whose
    boxes stand at its `<bbox>` ids, in order."""
    ids: list
    n_prompt: int
    objects: list


def shared_prefix(tokenizer):
    """Ids that every prompt starts with, `<s>` included."""
    head = SYSTEM + "\n\n### Human: " + IMAGE_PREFIX.replace("<image>", IMAGE)
    return [1] + tokenizer.encode(head)


def examples(tokenizer, prefix, dialogue):
    """One example a turn of `dialogue`."""
    out, objects = [], []
    for k, turn in enumerate(dialogue.turns):
        objects = objects + list(turn.objects)
        questions = [t.question for t in dialogue.turns[:k + 1]]
        answers = [t.answer for t in dialogue.turns[:k]]
        prompt = [1] + tokenizer.encode(render(questions, answers))
        assert prompt[:len(prefix)] == prefix, "a question changed the ids in front of it"
        prompt = prompt[len(prefix):]
        target = tokenizer.continuation(f"Assistant: {turn.answer}\n###")
        out.append(Example(prompt + target, len(prompt), objects))
    return out
