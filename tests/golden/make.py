"""Made the golden files beside it: six tiny models, files by every coder, and what they must decode to for ever.

    python tests/golden/make.py DIRECTORY

Only what DIRECTORY lacks is made: neither a model nor a file is ever made again. A later version of the format gets a
directory of its own.
"""

import sys
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from semcomp_pl import load
from semcomp_pl.cli import main
from semcomp_pl.codecs.neural import NeuralCodec
from semcomp_pl.coding import pictures
from semcomp_pl.coding.container import Kind, Section, parse
from semcomp_pl.coding.content import Content
from semcomp_pl.coding.context import neutral
from semcomp_pl.data import ImageDataModule, StreetScenes

COMMON = "--model.downsamplings 3 --trainer.max_epochs 80 --ema_decay 0.9 --entropy_steps 400"
FIRST = "--model.filters 6 --model.blocks 1 --model.channels 4"
SELECTIVE = "--model.filters 2 --model.blocks 0 --model.channels 2 --model.discriminator_filters 4"
MODELS = {
    "rate_distortion": ("rate_distortion", FIRST),
    "conditional_gan": ("conditional_gan", f"{FIRST} --model.init_from runs/rate_distortion/checkpoints/best.ckpt"),
    "selective_gan": ("selective_gan", SELECTIVE),
    "selective_gan_full": ("selective_gan", f"{SELECTIVE} --model.label_map full"),
    "layered_codec": ("layered_codec", "--model.filters 2 --model.blocks 0 --model.discriminator_filters 4"),
    "coclico": ("coclico", "--model.filters 16 --model.channels 8 --model.latent_space pixels --model.pixels 4096"),
}
"""Name -> its config, and the flags of its training."""
DATA = "--data.source.train 48 --data.source.val 4 --data.size [64,128] --data.num_workers 0"
SIZES = {"whole": (64, 96), "odd": (37, 53), "flat": (16, 200), "pixel": (1, 1), "noise": (48, 48)}
SIZES |= {"small": (17, 23), "tiny": (9, 11)}


class Scene(NamedTuple):
    """What is coded."""

    image: Tensor
    """(3, H, W)."""
    label: Tensor
    """(H, W)."""

    def cut(self, kind: str) -> "Scene":
        """Its upper left corner in one of `SIZES`, or noise."""
        height, width = SIZES[kind]
        image = self.image.repeat(1, 1, 2)[:, :height, :width]
        if kind == "noise":
            image = torch.rand(3, height, width, generator=torch.Generator().manual_seed(0))
        return Scene(image, self.label.repeat(1, 2)[:height, :width])


def train(name: str, directory: Path) -> None:
    """Train, fit the tables, export."""
    config, flags = MODELS[name]
    configs = [f"configs/{c}.yaml" for c in ("trainer/cpu", "data/streets", f"model/{config}")]
    words = [word for config in configs for word in ("--config", config)]
    words.append("--trainer.precision=32-true")
    assert main(["fit", *words, *f"{DATA} {COMMON} {flags} --name {name}".split()]) == 0
    assert main(["export", f"runs/{name}/checkpoints/best.ckpt", str(directory / name)]) == 0


def analyse(codec: NeuralCodec, scene: Scene) -> Content:
    """What the network sees in a scene."""
    label = scene.label[None] if codec.sends_labels else None
    (content,) = codec.analyse(scene.image[None], label)
    return content


def strange(content: Content) -> Content:
    """A content that no model expects."""
    rng = np.random.default_rng(0)
    parts = dict(content.parts)
    for kind, levels in ((Kind.LATENT, 5), (Kind.THUMBNAIL, 256), (Kind.LABELS, 19), (Kind.VECTOR, 4)):
        if kind in parts:
            parts[kind] = rng.integers(0, levels, parts[kind].shape).astype(np.uint8)
    return content._replace(parts=parts)


def without_context(codec: NeuralCodec) -> NeuralCodec:
    """The same codec, which codes symbols under its static tables."""
    other = NeuralCodec(codec.net, codec.name, codec.fingerprint)
    other.file.coders[Kind.LATENT].coder.context = None  # type: ignore[attr-defined]
    return other


def first_files(codec: NeuralCodec, scene: Scene) -> Iterator[tuple[str, NeuralCodec, Content]]:
    """Of a model that sends every symbol: each size, and each coder of symbols."""
    for kind in ("whole", "odd", "flat", "pixel", "noise"):
        yield kind, codec, analyse(codec, scene.cut(kind))
    yield "uniform", codec, strange(analyse(codec, scene))
    yield "static", without_context(codec), analyse(codec, scene)


def kept(content: Content, heatmap: NDArray[np.bool_]) -> Content:
    """The content without the symbols outside a heatmap."""
    symbols = content.symbols.copy()
    symbols[:, ~heatmap] = neutral(5)
    return content.with_part(Kind.HEATMAP, heatmap).with_part(Kind.LATENT, symbols)


def of_one_class(codec: NeuralCodec, content: Content) -> Content:
    """The content of the cells that hold the second commonest class."""
    present: NDArray[np.bool_] = codec.file.coders[Kind.LABELS].present(content)  # type: ignore[attr-defined]
    return kept(content, present[present.sum((1, 2)).argsort()[-2]])


def selective_files(codec: NeuralCodec, scene: Scene) -> Iterator[tuple[str, NeuralCodec, Content]]:
    """Of a model that chooses regions: everything, classes, a blob and noise, the last under each coder of symbols."""
    yield "pixel", codec, analyse(codec, scene.cut("pixel"))
    yield "classes", codec, of_one_class(codec, analyse(codec, scene.cut("odd")))
    content = analyse(codec, scene.cut("whole"))
    yield "whole", codec, content
    rows, columns = np.indices(content.symbols.shape[1:])
    yield "adaptive", codec, kept(content, np.hypot(rows - 3, columns - 4) < 3)
    noise = np.random.default_rng(1).random(rows.shape) < 0.5
    yield "scattered", codec, kept(content, noise)
    yield "static", without_context(codec), kept(content, noise)
    yield "uniform", codec, kept(strange(content), noise)


def full_files(codec: NeuralCodec, scene: Scene) -> Iterator[tuple[str, NeuralCodec, Content]]:
    """Where a label map at the image's size tells the coders of heatmap and symbols more than one on the grid."""
    yield "odd", codec, analyse(codec, scene.cut("odd"))
    yield "classes", codec, of_one_class(codec, analyse(codec, scene.cut("small")))


def layered_files(codec: NeuralCodec, scene: Scene) -> Iterator[tuple[str, NeuralCodec, Content]]:
    """Of a model in layers: the thumbnail by the suite's own coders, then it and a residual by each picture format."""
    for kind in ("pixel", "small", "noise"):
        yield kind, codec, analyse(codec, scene.cut(kind))
    yield "uniform", codec, strange(analyse(codec, scene.cut("tiny")))
    content = analyse(codec, scene.cut("small"))
    (lossless,) = (data for coder, data in pictures.lossless(content.symbols) if coder == pictures.WEBP)
    yield "lossless", codec, with_picture(content, Kind.THUMBNAIL, pictures.WEBP, lossless)
    for coder, form in pictures.FORMATS.items():
        small = pictures.encode(coder, content.symbols, 60)
        one = with_picture(content, Kind.THUMBNAIL, coder, small)
        (decoded,) = codec.synthesise([one])
        missing = ((scene.cut("small").image - decoded) * 127.5 + 128).round().byte().numpy()
        yield form.name.lower(), codec, with_picture(one, Kind.RESIDUAL, coder, pictures.encode(coder, missing, 20))


def meaning_files(codec: NeuralCodec, scene: Scene) -> Iterator[tuple[str, NeuralCodec, Content]]:
    """Of a model of vector and colours: each size of cells, the vector alone, and both coders of vectors."""
    content = analyse(codec, scene.cut("odd"))
    yield "uniform", codec, strange(content)
    yield "vector", codec, content._replace(parts={Kind.VECTOR: content.parts[Kind.VECTOR]})
    other = load("coclico")
    other.file.coders[Kind.VECTOR].coder.tables.pop(0)  # type: ignore[attr-defined]  # of equal length here
    yield "static", other, content
    for d in (3, 4, 5, 6):
        other = load("coclico", options={"downsamplings": d})
        yield f"cells{1 << d}", other, analyse(other, scene.cut("odd"))


MAKERS = {"selective_gan": selective_files, "selective_gan_full": full_files, "layered_codec": layered_files}
MAKERS |= {"coclico": meaning_files}


def with_picture(content: Content, kind: Kind, coder: int, data: bytes) -> Content:
    """The content with a section that a picture format has written."""
    size = content.symbols.shape[1:] if kind == Kind.THUMBNAIL else (content.height, content.width)
    return content.with_part(kind, pictures.decode(coder, data, *size), Section(kind, coder, data))


def save(writer: NeuralCodec, reader: NeuralCodec, name: str, content: Content) -> None:
    """One file, and what it decodes to."""
    target, stem = Path("files") / f"{name}.smc", Path("decoded") / name
    if target.exists():
        return
    file = writer.file.write(content)
    target.write_bytes(file)
    parts: dict[str, Any] = {"symbols": content.symbols}
    for kind in (Kind.LABELS, Kind.HEATMAP, Kind.RESIDUAL, Kind.COLOURS):
        parts |= {kind.name.lower(): content.parts[kind]} if kind in content.parts else {}
    np.savez_compressed(stem.with_suffix(".npz"), **parts)
    pixels = (reader.decompress(file) * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(stem.with_suffix(".png"), optimize=True)
    print(name, len(file), *((section.kind.name, section.coder) for section in parse(file).sections))


def make(directory: Path) -> None:
    """All that is not there."""
    for part in ("files", "decoded"):
        (directory / part).mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as work, chdir(work):
        data = ImageDataModule(StreetScenes("data/streets", train=48, val=4), (64, 128), num_workers=0)
        data.prepare_data()
        data.setup("validate")
        batch = next(iter(data.val_dataloader()))
        scene = Scene(batch["image"][0], batch["label"][0])
        for name in MODELS:
            if not (directory / name).exists():
                train(name, directory)
        with chdir(directory):
            for name in MODELS:
                codec = load(directory / name)
                for kind, writer, content in MAKERS.get(name, first_files)(codec, scene):
                    save(writer, codec, f"{name}_{kind}", content)


if __name__ == "__main__":
    make(Path(sys.argv[1]).resolve())
