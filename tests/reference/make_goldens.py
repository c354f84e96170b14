"""Makes golden directories: a model in the published layout, a picture, and one reference run.

    python make_goldens.py --reference REFERENCE.py --case case.json --out GOLDEN
    python make_goldens.py --reference REFERENCE.py --rerun GOLDEN --out COPY

The first form draws random weights of the sizes in `case.json`, the second runs the reference on
the checkpoint and the questions of a golden that exists, to see what another version of PyTorch
makes of it. README.md describes cases, goldens and what the reference must offer.
"""
import argparse
import importlib.util
import json
import math
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
ADDED = ["[PAD]", "<im_patch>", "<bbox>", "<point>", "<im_start>", "<im_end>"]
VISION = {"hidden": 64, "layers": 12, "heads": 2, "ffn": 256, "ln_eps": 1e-5, "image_size": 224,
          "patch_size": 14, "full": False, "style": "clip"}
REGION = {"dim": 64, "mid": 48, "pos_hidden": 64, "num_fuse": 5}
LANGUAGE = {"hidden": 64, "layers": 2, "heads": 2, "kv_heads": None, "ffn": 172, "vocab": None}
TOKENIZER = {"added": ADDED, "bos": "<s>", "eos": "</s>", "plain": False, "where": "added_tokens"}
IMAGENET = {"image_mean": (0.485, 0.456, 0.406), "image_std": (0.229, 0.224, 0.225)}
STORAGE = {"dtype": "fp16", "format": "safetensors", "shards": 1}


class Random:
    """Seeded tensors whose sizes keep activations near one."""

    def __init__(self, seed):
        self.g = torch.Generator().manual_seed(seed)

    def normal(self, *shape, std=None):
        fan_in = math.prod(shape[1:]) if len(shape) > 1 else 1
        return torch.randn(*shape, generator=self.g) * (fan_in**-0.5 if std is None else std)

    def layer(self, out, name, *shape, bias=True, gain=1.0):
        out[name + ".weight"] = self.normal(*shape, std=gain * math.prod(shape[1:]) ** -0.5)
        if bias:
            out[name + ".bias"] = self.normal(shape[0], std=0.1)

    def norm(self, out, name, n, bias=True):
        out[name + ".weight"] = 1 + self.normal(n, std=0.1)
        if bias:
            out[name + ".bias"] = self.normal(n, std=0.1)


def vision_weights(r, v):
    d, out, p, patch = v["hidden"], {}, "vision_model.", v["patch_size"]
    positions = (v["image_size"] // patch) ** 2 + 1
    out[p + "embeddings.class_embedding"] = r.normal(d, std=0.5)
    r.layer(out, p + "embeddings.patch_embedding", d, 3, patch, patch, bias=False)
    out[p + "embeddings.position_embedding.weight"] = r.normal(positions, d, std=0.3)
    out[p + "embeddings.position_ids"] = torch.arange(positions)[None]
    r.norm(out, p + "pre_layrnorm", d)
    r.norm(out, p + "post_layernorm", d)
    for i in range(v["layers"]):
        q = f"{p}encoder.layers.{i}."
        for name in ("layer_norm1", "layer_norm2"):
            r.norm(out, q + name, d)
        for name in "qkv":
            r.layer(out, f"{q}self_attn.{name}_proj", d, d)
        r.layer(out, q + "self_attn.out_proj", d, d, gain=0.5)
        r.layer(out, q + "mlp.fc1", v["ffn"], d)
        r.layer(out, q + "mlp.fc2", d, v["ffn"], gain=0.5)
    if v["full"]:
        text_tower(r, out, d)
    return out


def dinov2_weights(r, v):
    d, out, patch = v["hidden"], {}, v["patch_size"]
    out["embeddings.cls_token"] = r.normal(1, 1, d, std=0.5)
    out["embeddings.mask_token"] = r.normal(1, d)
    out["embeddings.position_embeddings"] = r.normal(1, (v["image_size"] // patch) ** 2 + 1, d, std=0.3)
    r.layer(out, "embeddings.patch_embeddings.projection", d, 3, patch, patch)
    r.norm(out, "layernorm", d)
    for i in range(v["layers"]):
        q = f"encoder.layer.{i}."
        for name in ("norm1", "norm2"):
            r.norm(out, q + name, d)
        for name in ("query", "key", "value"):
            r.layer(out, f"{q}attention.attention.{name}", d, d)
        r.layer(out, q + "attention.output.dense", d, d)
        r.layer(out, q + "mlp.fc1", v["ffn"], d)
        r.layer(out, q + "mlp.fc2", d, v["ffn"])
        for name in ("layer_scale1", "layer_scale2"):
            out[f"{q}{name}.lambda1"] = 0.5 + r.normal(d, std=0.3)
    return out


def dinov2_tower(w, cfg, pixels):
    """All hidden states of DINOv2, `[1, 1 + patches, d]` each; 0 is the embedding."""
    eps, heads = cfg.vision_ln_eps, cfg.vision_heads
    norm = lambda x, n: F.layer_norm(x, x.shape[-1:], w[n + ".weight"], w[n + ".bias"], eps)
    linear = lambda x, n: F.linear(x, w[n + ".weight"], w[n + ".bias"])
    patch = "embeddings.patch_embeddings.projection"
    x = F.conv2d(pixels, w[patch + ".weight"], w[patch + ".bias"], stride=cfg.patch_size)
    x = torch.cat([w["embeddings.cls_token"], x.flatten(2).transpose(1, 2)], 1)
    states = [x + w["embeddings.position_embeddings"]]
    split = lambda x: x.unflatten(-1, (heads, -1)).transpose(1, 2)
    for i in range(cfg.vision_layers):
        x, q = states[-1], f"encoder.layer.{i}."
        h = norm(x, q + "norm1")
        parts = [split(linear(h, f"{q}attention.attention.{n}")) for n in ("query", "key", "value")]
        h = F.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2)
        x = x + w[q + "layer_scale1.lambda1"] * linear(h, q + "attention.output.dense")
        h = F.gelu(linear(norm(x, q + "norm2"), q + "mlp.fc1"))
        states.append(x + w[q + "layer_scale2.lambda1"] * linear(h, q + "mlp.fc2"))
    return states


def text_tower(r, out, d):
    """What a full CLIP holds beside its vision half; none of it is used."""
    out["logit_scale"] = torch.tensor(4.6)
    out["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    out["text_model.embeddings.token_embedding.weight"] = r.normal(99, 32)
    out["text_projection.weight"] = r.normal(32, 32)
    out["visual_projection.weight"] = r.normal(32, d)
    r.layer(out, "text_model.encoder.layers.0.self_attn.q_proj", 32, 32)


def region_weights(r, g, d, h):
    c, m, pos, out, p = g["dim"], g["mid"], g["pos_hidden"], {}, "model.spi_module."
    for level in range(4):
        r.layer(out, f"{p}mlvl_fuse.input_conv.{level}", c, d + 2, 1, 1)
        r.layer(out, f"{p}roi_align.pconvs.{level}", c, c, 3, 3)
    for f in range(g["num_fuse"]):
        r.layer(out, f"{p}mlvl_fuse.fuse_convs.{f}.conv", c, c, 3, 3, bias=False, gain=1.4)
        r.norm(out, f"{p}mlvl_fuse.fuse_convs.{f}.gn", c)
    r.layer(out, p + "roi_align.flatten_linear", m, c * 196)
    r.layer(out, p + "roi_align.pos_embedd.0", pos, 4)
    r.norm(out, p + "roi_align.pos_embedd.2", pos)
    r.layer(out, p + "roi_align.pos_embedd.3", m, pos)
    r.norm(out, p + "roi_align.pos_embedd.5", m)
    r.layer(out, p + "roi_align.updims", h, m)
    return out


def language_weights(r, c, d):
    h, out = c["hidden"], {}
    kv = h // c["heads"] * (c["kv_heads"] or c["heads"])
    out["model.embed_tokens.weight"] = r.normal(c["vocab"], h, std=1.0)
    r.layer(out, "lm_head", c["vocab"], h, bias=False, gain=2.0)
    r.norm(out, "model.norm", h, bias=False)
    r.layer(out, "model.mm_projector", h, d)
    for i in range(c["layers"]):
        p = f"model.layers.{i}."
        for name in ("input_layernorm", "post_attention_layernorm"):
            r.norm(out, p + name, h, bias=False)
        for name, n in (("q", h), ("k", kv), ("v", kv), ("o", h)):
            r.layer(out, f"{p}self_attn.{name}_proj", n, h, bias=False)
        r.layer(out, p + "mlp.gate_proj", c["ffn"], h, bias=False)
        r.layer(out, p + "mlp.up_proj", c["ffn"], h, bias=False)
        r.layer(out, p + "mlp.down_proj", h, c["ffn"], bias=False)
    return out


def save_weights(directory, tensors, dtype, format, shards):
    """Writes one file, or several and their index, in Hugging Face's naming."""
    stored = {k: t.to(DTYPES[dtype]) if t.is_floating_point() else t for k, t in tensors.items()}
    stem, end = ("model", "safetensors") if format == "safetensors" else ("pytorch_model", "bin")
    names, weight_map = sorted(stored), {}
    for i in range(shards):
        file = f"{stem}-{i + 1:05}-of-{shards:05}.{end}" if shards > 1 else f"{stem}.{end}"
        part = {k: stored[k].contiguous() for k in names[i::shards]}
        weight_map.update(dict.fromkeys(part, file))
        if end == "bin":
            torch.save(part, directory / file)
        else:
            save_file(part, directory / file, metadata={"format": "pt"})
    if shards > 1:
        index = {"metadata": {}, "weight_map": weight_map}
        write_json(directory / f"{stem}.{end}.index.json", index)


def write_json(path, value, **kw):
    path.write_text(json.dumps(value, indent=1, **kw))


def write_dinov2_config(directory, v):
    ratio = v["ffn"] / v["hidden"]
    config = {"hidden_act": "gelu", "hidden_size": v["hidden"], "image_size": v["image_size"],
              "layer_norm_eps": v["ln_eps"], "layerscale_value": 1.0, "mlp_ratio": ratio,
              "model_type": "dinov2", "num_attention_heads": v["heads"],
              "num_hidden_layers": v["layers"], "patch_size": v["patch_size"],
              "use_swiglu_ffn": False, "intermediate_size": v["ffn"]}
    write_json(directory / "config.json", config)
    write_json(directory / "preprocessor_config.json", IMAGENET)


def write_clip_config(directory, v):
    config = {"hidden_act": "quick_gelu", "hidden_size": v["hidden"], "image_size": v["image_size"],
              "intermediate_size": v["ffn"], "layer_norm_eps": v["ln_eps"],
              "num_attention_heads": v["heads"], "num_hidden_layers": v["layers"],
              "model_type": "clip_vision_model", "patch_size": v["patch_size"], "projection_dim": 32}
    if v["full"]:
        text = {"hidden_size": 32, "num_hidden_layers": 1, "vocab_size": 99}
        config = {"model_type": "clip", "projection_dim": 32, "hidden_size": 1,
                  "text_config": text, "vision_config": config}
    write_json(directory / "config.json", config)


def write_language_config(directory, c, d, more):
    config = {"architectures": ["SPILlavaMPTForCausalLM"], "model_type": "llava",
              "hidden_act": "silu", "hidden_size": c["hidden"], "intermediate_size": c["ffn"],
              "num_attention_heads": c["heads"], "num_hidden_layers": c["layers"],
              "vocab_size": c["vocab"], "max_position_embeddings": 2048, "rms_norm_eps": 1e-6,
              "mm_hidden_size": d, "mm_use_im_start_end": True, "mm_vision_select_layer": -2,
              "mm_vision_tower": "openai/clip-vit-large-patch14", "tie_word_embeddings": False,
              "use_mm_proj": True, "pad_token_id": None}
    if c["kv_heads"]:
        config["num_key_value_heads"] = c["kv_heads"]
    write_json(directory / "config.json", {**config, **more})


def write_tokenizer(directory, t, n_pieces):
    """Side files with `added_tokens.json`, which is where the reference looks."""
    added = {text: n_pieces + i for i, text in enumerate(t["added"])}
    token = lambda text: text if t["plain"] else {
        "content": text, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    special = {"bos_token": token(t["bos"]), "eos_token": token(t["eos"]),
               "unk_token": token("<unk>")}
    if "[PAD]" in added:
        special["pad_token"] = "[PAD]"
    config = {"add_bos_token": t.get("add_bos", True), "add_eos_token": False, "pad_token": None,
              "model_max_length": t.get("max_length", 2048), "tokenizer_class": "LlamaTokenizer"}
    write_json(directory / "added_tokens.json", added)
    write_json(directory / "special_tokens_map.json", special)
    write_json(directory / "tokenizer_config.json", config)
    return added


def move_added_tokens(directory, added):
    """Leaves the added tokens in `tokenizer_config.json` alone, as newer libraries do."""
    (directory / "added_tokens.json").unlink()
    path = directory / "tokenizer_config.json"
    table = {0: "<unk>", 1: "<s>", 2: "</s>", **{i: t for t, i in added.items()}}
    decoder = {str(i): {"content": t, "lstrip": False, "normalized": False, "rstrip": False,
                        "single_word": False, "special": True} for i, t in table.items()}
    write_json(path, {**json.loads(path.read_text()), "added_tokens_decoder": decoder})


def make_model(case, out, base):
    """Writes `checkpoint/` and `clip/`; returns what is left to do after the reference run."""
    import sentencepiece

    fill = lambda key, default: {**default, **case.get(key, {})}
    v, g, c = fill("vision", VISION), fill("region", REGION), fill("language", LANGUAGE)
    t, r = fill("tokenizer", TOKENIZER), Random(case["seed"])
    checkpoint, clip = out / "checkpoint", out / "clip"
    for directory in (checkpoint, clip):
        directory.mkdir(parents=True)
    shutil.copy(base / t["model"], checkpoint / "tokenizer.model")
    n_pieces = sentencepiece.SentencePieceProcessor(str(checkpoint / "tokenizer.model")).vocab_size()
    c["vocab"] = c["vocab"] or n_pieces + len(t["added"])
    added = write_tokenizer(checkpoint, t, n_pieces)
    (write_dinov2_config if v["style"] == "dinov2" else write_clip_config)(clip, v)
    write_language_config(checkpoint, c, v["hidden"], case.get("config", {}))
    weights = language_weights(r, c, v["hidden"])
    weights.update(region_weights(r, g, v["hidden"], c["hidden"]))
    if case.get("inv_freq"):
        weights["model.layers.0.self_attn.rotary_emb.inv_freq"] = r.normal(16)
    save_weights(checkpoint, weights, **fill("storage", STORAGE))
    vision = dinov2_weights(r, v) if v["style"] == "dinov2" else vision_weights(r, v)
    save_weights(clip, vision, **fill("clip_storage", STORAGE))
    if t["where"] == "tokenizer_config":
        return lambda: move_added_tokens(checkpoint, added)
    return lambda: None


def statistics(x):
    """Moments of a large map, and a sum that depends on the order of its elements."""
    x = x.double().flatten().numpy()
    weights = (np.arange(x.size, dtype=np.int64) * 7919) % 1009 / 1009 - 0.5
    return {"mean": x.mean(), "std": x.std(), "min": x.min(), "max": x.max(),
            "l2": float(np.sqrt((x * x).sum())), "probe": float((x * weights).sum())}


def subsample(x):
    """16 rows and columns of a map [C,S,S], spread over all of it."""
    at = torch.tensor([round(i * (x.shape[-1] - 1) / 15) for i in range(16)])
    return x[:, at][:, :, at]


def image_side(trace):
    """Tensors and statistics of everything up to the region vectors."""
    tensors = {"pixel_values": trace["pixel_values"], "bicubic_u8": trace["bicubic_u8"],
               "image_embed": trace["image_embed"]}
    maps = {}
    for level in range(4):
        tensors[f"hidden_states.{level}"] = trace["hidden_states"][level][0]
        tensors[f"roi.{level}"] = trace["roi"][level]
        stages = {f"{k}.{level}": trace[k][level][0] for k in ("conv_in", "input_conv")}
        fused = {f"fuse.{f}.{level}": x[level][0] for f, x in enumerate(trace["fuse"])}
        last = f"fuse.{len(trace['fuse']) - 1}.{level}"
        kept = [*stages, f"fuse.0.{level}", last]
        maps.update({**stages, **fused, f"pconv.{level}": trace["pconv"][level]})
        tensors.update({f"{k}.sub": subsample(maps[k]) for k in kept})
    for name in ("roi_sum_relu", "flatten_linear", "pos_embed", "region_mid", "region_embed"):
        tensors[name] = trace[name]
    stats = {k: {"shape": list(x.shape), **statistics(x)} for k, x in maps.items()}
    return tensors, stats


def language_side(ref, cfg, weights, trace, round_):
    """Tensors of one question."""
    inner = {}
    with torch.no_grad():
        ref.llama_forward(cfg, weights, trace["inputs_embeds"], None, inner)
    layers = torch.stack([x[-1] for x in inner["llm_layers"]])
    named = {"region_embed": trace["region_embed"], "inputs_embeds": trace["inputs_embeds"],
             "llm_layers_last": layers, "logits_last": trace["logits_last"]}
    return {f"round{round_}.{k}": x for k, x in named.items()}


def golden_round(question, dialogue, tokenizer, trace):
    """The texts, ids and tokens of one question."""
    top = torch.topk(trace["logits_last"], 5)
    return {"question": question["question"], "new_boxes_px": question.get("boxes", []),
            "assistant_reply_fed_back": question.get("reply"), "boxes_px_all": list(dialogue.boxes),
            "boxes_normalised": trace["boxes01"].tolist(), "prompt": trace["prompt"],
            "input_ids": trace["input_ids"], "greedy_tokens": trace["greedy"],
            "greedy_top2_margins": trace["margins"], "greedy_text": tokenizer.decode(trace["greedy"]),
            "top5": [[int(i), float(x)] for x, i in zip(*top)]}


def teach_dinov2(ref, clip):
    """Gives the reference, which knows CLIP alone, the tower in `clip` and its constants."""
    w = {k: x.float() for k, x in ref.load_tensors(str(clip)).items()}
    ref.vision_tower = lambda cfg, _, pixels: dinov2_tower(w, cfg, pixels)
    ref.CLIP_MEAN, ref.CLIP_STD = IMAGENET["image_mean"], IMAGENET["image_std"]


def run(ref, out, image, questions):
    """Runs the reference and writes `golden.json` and `golden.safetensors`."""
    from PIL import Image

    read = lambda part: json.loads((out / part / "config.json").read_text())
    if read("clip").get("model_type") == "dinov2":
        teach_dinov2(ref, out / "clip")
    cfg, weights, tokenizer = ref.load_model(str(out / "checkpoint"), str(out / "clip"))
    cfg.level_step = read("checkpoint").get("mm_vision_level_step", 3)
    picture, dialogue = Image.open(out / image), ref.Dialogue()
    tensors, rounds = {}, []
    for i, question in enumerate(questions):
        trace = {}
        dialogue.ask(question["question"], question.get("boxes", []))
        ref.run(cfg, weights, tokenizer, picture, dialogue, trace=trace)
        tensors.update(language_side(ref, cfg, weights, trace, i))
        rounds.append(golden_round(question, dialogue, tokenizer, trace))
        dialogue.answer(question.get("reply") or "")
    last, stats = image_side(trace)
    tensors.update(last)
    save_file({k: t.contiguous().clone() for k, t in tensors.items()}, out / "golden.safetensors")
    size = {"file": image, "width": picture.width, "height": picture.height, "mode": picture.mode}
    golden = {"config": vars(cfg), "image": size, "rounds": rounds, "full_map_stats": stats,
              "level_hidden_state_index": trace["level_index"], "special_ids": tokenizer.added,
              "bos_id": tokenizer.bos_id, "eos_id": tokenizer.eos_id}
    write_json(out / "golden.json", golden)


def load_reference(path):
    spec = importlib.util.spec_from_file_location("reference", path)
    module = importlib.util.module_from_spec(spec)
    # Data classes look their module up while they are made.
    sys.modules["reference"] = module
    spec.loader.exec_module(module)
    return module


def copy_model(golden, out):
    """Copies the inputs of a golden; returns its picture and questions."""
    for part in ("checkpoint", "clip"):
        shutil.copytree(golden / part, out / part)
    made = json.loads((golden / "golden.json").read_text())
    image = made["image"]["file"]
    shutil.copy(golden / image, out / image)
    return image, [{"question": r["question"], "boxes": r["new_boxes_px"],
                    "reply": r["assistant_reply_fed_back"]} for r in made["rounds"]]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", type=Path, required=True)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--case", type=Path)
    source.add_argument("--rerun", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    ref, finish = load_reference(args.reference), lambda: None
    if args.rerun:
        image, questions = copy_model(args.rerun, args.out)
    else:
        case, base = json.loads(args.case.read_text()), args.case.parent
        finish = make_model(case, args.out, base)
        image, questions = Path(case["image"]).name, case["rounds"]
        shutil.copy(base / case["image"], args.out / image)
    run(ref, args.out, image, questions)
    finish()


if __name__ == "__main__":
    main()
