"""Made the golden files beside it: two tiny models, files of every kind, and what they must decode to for ever.

    python tests/golden/make.py DIRECTORY

A later version of the format gets a directory of its own; these files are never made again.
"""

import sys
from contextlib import chdir
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from semcomp_pl.cli import main
from semcomp_pl.coding.image_file import Content
from semcomp_pl.data import ImageDataModule, StreetScenes
from semcomp_pl.modules.base import CodecModule
from semcomp_pl.codecs.neural import TrainedCodec
from semcomp_pl.checkpoints.loading import load

TINY = [
    "--model.downsamplings",
    "3",
    "--model.filters",
    "6",
    "--model.blocks",
    "1",
    "--model.channels",
    "4",
    "--trainer.max_epochs",
    "80",
    "--ema_decay",
    "0.9",
]
DATA = ["--data.source.train", "48", "--data.source.val", "4", "--data.size", "[64,128]", "--data.num_workers", "0"]
SIZES = {"whole": (64, 96), "odd": (37, 53), "flat": (16, 200), "pixel": (1, 1), "noise": (48, 48)}


def train(name: str, *flags: str) -> None:
    """Train, fit the tables, export."""
    configs = [f"configs/{c}.yaml" for c in ("trainer/cpu", "data/streets", f"model/{name}")]
    words = [word for config in configs for word in ("--config", config)]
    assert main(["fit", *words, *DATA, *TINY, "--entropy_steps", "400", "--name", name, *flags]) == 0
    assert main(["export", f"runs/{name}/checkpoints/best.ckpt", name]) == 0


def image(batch: Tensor, kind: str) -> Tensor:
    """A picture (3, H, W) of a size: cut from a scene, or noise."""
    height, width = SIZES[kind]
    if kind == "noise":
        return torch.rand(3, height, width, generator=torch.Generator().manual_seed(0))
    return batch[0].repeat(1, 1, 2)[:, :height, :width]


def write(name: str) -> None:
    """A file of each size, with its symbols, label map and picture."""
    model = load(name)
    assert isinstance(model, CodecModule)
    data = ImageDataModule(StreetScenes("data/streets", train=48, val=4), (64, 128), num_workers=0)
    data.setup("validate")
    batch = next(iter(data.val_dataloader()))
    for kind, (height, width) in SIZES.items():
        picture = image(batch["image"], kind)
        label = batch["label"][0].repeat(1, 2)[:height, :width] if model.side_channels() else None
        (content,) = model.codec().analyse(picture[None], None if label is None else label[None])
        save(model.codec(), model.codec(), f"{name}_{kind}", content)
    (content,) = model.codec().analyse(batch["image"][:1], batch["label"][:1] if model.side_channels() else None)
    rng = np.random.default_rng(0)
    strange = rng.integers(0, 5, content.symbols.shape).astype(np.uint8)
    labels = None if content.labels is None else rng.integers(0, 19, content.labels.shape).astype(np.uint8)
    save(model.codec(), model.codec(), f"{name}_uniform", content._replace(symbols=strange, labels=labels))
    static = TrainedCodec(model)
    static.file.latent.context = None
    save(static, model.codec(), f"{name}_static", content)


def save(writer: TrainedCodec, reader: TrainedCodec, name: str, content: Content) -> None:
    """One file, and what it decodes to."""
    file, stem = writer.file.write(content), Path("decoded") / name
    (Path("files") / f"{name}.smc").write_bytes(file)
    if content.labels is None:
        np.savez_compressed(stem.with_suffix(".npz"), symbols=content.symbols)
    else:
        np.savez_compressed(stem.with_suffix(".npz"), symbols=content.symbols, labels=content.labels)
    pixels = (reader.decompress(file) * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(stem.with_suffix(".png"), optimize=True)


if __name__ == "__main__":
    for directory in ("files", "decoded"):
        (Path(sys.argv[1]) / directory).mkdir(parents=True, exist_ok=True)
    with chdir(sys.argv[1]):
        train("rate_distortion")
        train("conditional_gan", "--model.init_from", "runs/rate_distortion/checkpoints/best.ckpt")
        write("rate_distortion")
        write("conditional_gan")
