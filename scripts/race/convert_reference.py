#!/usr/bin/env python3
"""The first half of llama.cpp's own route: a Hugging Face LLaMA checkpoint to an f16 GGUF file.

Written on gguf-py (its name table, its writer), as llama.cpp's converter is, and streaming like it: one tensor in
memory at a time. Tensors that llama.cpp has no name for (the region modules and the projector of GPT4RoI) are left
out.

    convert_reference.py CHECKPOINT OUTPUT.gguf
"""

import json
import sys
from contextlib import ExitStack
from pathlib import Path

import gguf
import numpy as np
from safetensors import safe_open
from sentencepiece import SentencePieceProcessor

LEFT_OUT = ("model.spi_module.", "model.mm_projector.", "vision_model.")


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    checkpoint, output = Path(sys.argv[1]), Path(sys.argv[2])
    config = json.loads((checkpoint / "config.json").read_text())
    writer = gguf.GGUFWriter(output, "llama")
    add_hyper_parameters(writer, config)
    add_vocabulary(writer, checkpoint)
    with ExitStack() as stack:
        add_tensors(writer, config, open_shards(checkpoint, stack))
    return 0


def add_hyper_parameters(writer: gguf.GGUFWriter, config: dict) -> None:
    n_head = config["num_attention_heads"]
    writer.add_name("reference")
    writer.add_vocab_size(config["vocab_size"])
    writer.add_context_length(config.get("max_position_embeddings", 2048))
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(n_head)
    writer.add_head_count_kv(config.get("num_key_value_heads", n_head))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(config["hidden_size"] // n_head)
    writer.add_rope_freq_base(config.get("rope_theta", 10000.0))
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)


def add_vocabulary(writer: gguf.GGUFWriter, checkpoint: Path) -> None:
    """SentencePiece pieces, then the added tokens in the order of their ids."""
    pieces = SentencePieceProcessor(model_file=str(checkpoint / "tokenizer.model"))
    ids = range(pieces.vocab_size())
    texts = [pieces.id_to_piece(i).encode() for i in ids]
    scores = [pieces.get_score(i) for i in ids]
    types = [int(piece_type(pieces, i)) for i in ids]
    added = json.loads((checkpoint / "added_tokens.json").read_text())
    for text, _ in sorted(added.items(), key=lambda item: item[1]):
        texts.append(text.encode())
        scores.append(-1000.0)
        types.append(int(gguf.TokenType.USER_DEFINED))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(texts)
    writer.add_token_scores(scores)
    writer.add_token_types(types)


def piece_type(pieces: SentencePieceProcessor, i: int) -> gguf.TokenType:
    if pieces.is_unknown(i):
        return gguf.TokenType.UNKNOWN
    if pieces.is_control(i):
        return gguf.TokenType.CONTROL
    if pieces.is_unused(i):
        return gguf.TokenType.UNUSED
    return gguf.TokenType.BYTE if pieces.is_byte(i) else gguf.TokenType.NORMAL


def open_shards(checkpoint: Path, stack: ExitStack) -> dict:
    """Tensor name -> open shard that holds it."""
    owner = {}
    for path in sorted(checkpoint.glob("*.safetensors")):
        shard = stack.enter_context(safe_open(path, framework="np"))
        owner.update((name, shard) for name in shard.keys())
    return owner


def add_tensors(writer: gguf.GGUFWriter, config: dict, owner: dict) -> None:
    """Describes every tensor, then writes them one at a time."""
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    plan = []
    for source in sorted(owner):
        if source.startswith(LEFT_OUT) or source.endswith("rotary_emb.inv_freq"):
            continue
        target = names.get_name(source, try_suffixes=(".weight", ".bias"))
        if target is None:
            raise SystemExit(f"no GGUF name for {source}")
        shape = owner[source].get_slice(source).get_shape()
        dtype = np.float32 if len(shape) == 1 else np.float16
        n_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        writer.add_tensor_info(target, shape, np.dtype(dtype), n_bytes)
        plan.append((source, dtype))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for source, dtype in plan:
        writer.write_tensor_data(rope_order(source, owner[source].get_tensor(source), config).astype(dtype, copy=False))
    writer.close()


def rope_order(source: str, data: np.ndarray, config: dict) -> np.ndarray:
    """Rows of q and k from Hugging Face's order (two halves of a head) to llama.cpp's (pairs)."""
    n_head = config["num_attention_heads"]
    if source.endswith("k_proj.weight"):
        n_head = config.get("num_key_value_heads", n_head)
    elif not source.endswith("q_proj.weight"):
        return data
    halves = data.reshape(n_head, 2, data.shape[0] // n_head // 2, *data.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(data.shape)


if __name__ == "__main__":
    sys.exit(main())
