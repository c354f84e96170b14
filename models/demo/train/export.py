"""A trained state as a checkpoint directory in the published layout, for `gpt4roi-convert`.

    python export.py --work WORK --out CHECKPOINT/language
"""
import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from model import Config, Gpt4Roi
from prompts import Tokenizer, write_side_files
from tower import TAPS
from training import load_state


def load_trained(work):
    """The model of WORK/all.pt, in the precision that the checkpoint keeps."""
    tokenizer = Tokenizer(work / "tokenizer.model")
    model = Gpt4Roi(Config(vocab=tokenizer.n_vocab))
    if load_state(work / "all.pt", {"model": model}) == 0:
        raise SystemExit(f"{work / 'all.pt'} is missing: train first")
    return tokenizer, model.eval()


def config(cfg):
    return {
        "architectures": ["SPILlavaMPTForCausalLM"], "model_type": "llava", "hidden_act": "silu",
        "hidden_size": cfg.hidden, "num_hidden_layers": cfg.layers, "num_attention_heads": cfg.heads,
        "intermediate_size": cfg.ffn, "vocab_size": cfg.vocab, "rms_norm_eps": 1e-6,
        "rope_theta": cfg.rope_theta,
        "max_position_embeddings": 2048, "tie_word_embeddings": False, "torch_dtype": "float32",
        "mm_hidden_size": cfg.vision_width, "mm_use_im_start_end": True, "use_mm_proj": True,
        "mm_vision_select_layer": -1, "mm_vision_level_step": TAPS[1] - TAPS[0],
        "mm_region_norm_groups": cfg.n_groups,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    tokenizer, model = load_trained(args.work)
    args.out.mkdir(parents=True, exist_ok=True)
    save_file(model.published(), args.out / "model.safetensors")
    (args.out / "config.json").write_text(json.dumps(config(model.cfg), indent=2) + "\n")
    shutil.copy(args.work / "tokenizer.model", args.out)
    write_side_files(args.out, tokenizer.spm.vocab_size())


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
