"""Takes the training's state back out of the two shipped files, to go on where it ended.

    python restore.py --files models/demo --work WORK

writes WORK/tokenizer.model and the states that `train.py --stage symbols` and `--stage all` begin from. What the files
hold in 8 bits comes back rounded.
"""
import argparse
from pathlib import Path

import gguf
import numpy as np
import torch
from sentencepiece import sentencepiece_model_pb2

import scaffold
from concepts import concepts
from model import Config, Gpt4Roi
from prompts import ADDED, Tokenizer
from symbolic import Symbols
from training import save_state

LANGUAGE, SIGHT = "gpt4roi-demo-Q8_0.gguf", "mmproj-gpt4roi-demo-Q8_0.gguf"
FIRST_FFN = 768  # the shipped language model has been widened since
BLOCK = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
         "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
OUTSIDE = {"model.embed_tokens.": "token_embd.", "model.norm.": "output_norm.", "lm_head.": "output.",
           "model.mm_projector.": "mm.0.", "model.spi_module.mlvl_fuse.input_conv.": "r.input_conv.",
           "model.spi_module.mlvl_fuse.fuse_convs.": "r.fuse.", "model.spi_module.roi_align.pconvs.": "r.pconv.",
           "model.spi_module.roi_align.flatten_linear.": "r.flatten.",
           "model.spi_module.roi_align.pos_embedd.": "r.pos.", "model.spi_module.roi_align.updims.": "r.updims."}


def stored_name(name):
    """Of a tensor of the model, in the files."""
    if name.startswith("model.layers."):
        _, _, il, *middle, kind = name.split(".")
        return f"blk.{il}.{BLOCK['.'.join(middle)]}.{kind}"
    for ours, theirs in OUTSIDE.items():
        if name.startswith(ours):
            return theirs + name.removeprefix(ours).replace(".gn.", ".norm.")
    raise KeyError(name)


def unpermuted(w, heads):
    """Rows of a query or key matrix in the order of the checkpoint, halves of a rotary pair apart."""
    return w.reshape(heads, -1, 2, w.shape[1]).swapaxes(1, 2).reshape(w.shape)


def read(path):
    """All tensors of a file as float32, and its reader."""
    reader = gguf.GGUFReader(path)
    found = {t.name: gguf.dequantize(t.data, t.tensor_type).astype(np.float32) for t in reader.tensors}
    return found, reader


def strings(field):
    return [bytes(field.parts[i]).decode() for i in field.data]


def write_tokenizer(reader, path):
    """The vocabulary as SentencePiece's own file, without the added tokens."""
    pieces = strings(reader.fields["tokenizer.ggml.tokens"])
    numbers = lambda key: [reader.fields[key].parts[i].item() for i in reader.fields[key].data]
    scores, kinds = numbers("tokenizer.ggml.scores"), numbers("tokenizer.ggml.token_type")
    if pieces[-len(ADDED):] != ADDED:
        raise SystemExit(f"{LANGUAGE}: the added tokens are others")
    proto = sentencepiece_model_pb2.ModelProto()
    for piece, score, kind in list(zip(pieces, scores, kinds))[:-len(ADDED)]:
        proto.pieces.add(piece=piece, score=score, type=kind)
    train, normal = proto.trainer_spec, proto.normalizer_spec
    train.model_type, train.byte_fallback, train.pad_id = train.BPE, True, -1
    train.vocab_size, train.split_digits = len(proto.pieces), True
    normal.name, normal.add_dummy_prefix, normal.remove_extra_whitespaces = "identity", True, False
    normal.escape_whitespaces = True
    path.write_bytes(proto.SerializeToString())


def restore(model, tensors):
    """Fills the model, all of it."""
    heads, own = model.cfg.heads, model.state_dict()
    neutral = {f"{name}.{b}" for name, m in model.named_modules() for b, _ in m.named_buffers(recurse=False)}
    for name, value in own.items():
        if name in neutral:
            continue
        found = tensors[stored_name(name)]
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            found = unpermuted(found, heads)
        value.copy_(torch.from_numpy(found.copy()).reshape(value.shape))


def first_symbols(tokenizer, names):
    """The symbols that the shipped model learned: made of the embeddings that it started from, at its first width."""
    torch.manual_seed(2)
    model = Gpt4Roi(Config(vocab=tokenizer.n_vocab, ffn=FIRST_FFN))
    symbols = Symbols(len(names), model.cfg.n_mid)
    scaffold.build(model, symbols, names, tokenizer)
    return symbols


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--files", type=Path, required=True, help="folder of the two files")
    parser.add_argument("--work", type=Path, required=True)
    args = parser.parse_args()
    tensors, reader = read(args.files / LANGUAGE)
    tensors |= read(args.files / SIGHT)[0]
    args.work.mkdir(parents=True, exist_ok=True)
    write_tokenizer(reader, args.work / "tokenizer.model")
    tokenizer = Tokenizer(args.work / "tokenizer.model")
    names = [c.name for c in concepts()]
    symbols = first_symbols(tokenizer, names)
    model = Gpt4Roi(Config(vocab=tokenizer.n_vocab))
    with torch.no_grad():
        restore(model, tensors)
    for stage, modules in {"language": {"model": model, "symbols": symbols}, "coarse": {"eyes": model.eyes},
                           "regions": {"model": model}}.items():
        save_state(args.work / f"{stage}.pt", modules, None, 0)


if __name__ == "__main__":
    main()
