"""A CompressAI model as a program: `encode IN.png OUT.bin` and `decode IN.bin OUT.png`.

It needs its own environment (`pip install compressai`), as CompressAI needs another NumPy version than semcomp_pl.
"""

import argparse
import struct
from pathlib import Path

import numpy as np
import torch
from compressai.zoo import image_models, load_state_dict
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

HEADER = struct.Struct(">IHH")  # bytes of the first string, height, width
MULTIPLE = 64  # sides that all models of the zoo can code
MODELS = [name for name in image_models if not name.endswith("-vbr")]  # those take a second quality


def model(options: argparse.Namespace) -> nn.Module:
    """The network, with CompressAI's published weights, those of a state dict, or random ones."""
    torch.manual_seed(0)
    published = options.weights is None and not options.untrained
    net = image_models[options.model](options.quality, metric=options.metric, pretrained=published)
    if options.weights is not None:
        found = torch.load(options.weights, map_location="cpu", weights_only=True)
        net.load_state_dict(load_state_dict(found.get("state_dict", found)))
    net.update(force=True)
    return net.eval()


def padded(height: int, width: int) -> tuple[int, int]:
    """The size of the padded image that is coded."""
    return -(-height // MULTIPLE) * MULTIPLE, -(-width // MULTIPLE) * MULTIPLE


def encode(net: nn.Module, source: Path) -> bytes:
    """The file of a picture."""
    pixels = np.array(Image.open(source).convert("RGB"))
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    height, width = image.shape[-2:]
    below, right = np.subtract(padded(height, width), (height, width))
    coded = net.compress(functional.pad(image, (0, int(right), 0, int(below)), mode="replicate"))
    strings = [each[0] for each in coded["strings"]]
    return HEADER.pack(len(strings[0]), height, width) + b"".join(strings)


def decode(net: nn.Module, data: bytes) -> Image.Image:
    """The picture in a file."""
    first, height, width = HEADER.unpack_from(data)
    body = data[HEADER.size :]
    strings = [[part] for part in (body[:first], body[first:]) if part]
    shape = [side // net.downsampling_factor for side in padded(height, width)]
    image: Tensor = net.decompress(strings, shape)["x_hat"][0, :, :height, :width]
    return Image.fromarray(image.clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy())


def main() -> None:
    """Encode or decode one file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=["encode", "decode"])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--model", choices=MODELS, default="mbt2018-mean")
    parser.add_argument("--quality", type=int, default=1, help="1 to 8, or 6: which of the published models")
    parser.add_argument("--metric", choices=["mse", "ms-ssim"], default="mse")
    parser.add_argument("--weights", type=Path, help="state dict; CompressAI downloads its own if not given")
    parser.add_argument("--untrained", action="store_true", help="random weights, to try the script without any")
    options = parser.parse_args()
    with torch.inference_mode():
        net = model(options)
        if options.task == "encode":
            options.target.write_bytes(encode(net, options.source))
        else:
            decode(net, options.source.read_bytes()).save(options.target)


if __name__ == "__main__":
    main()
