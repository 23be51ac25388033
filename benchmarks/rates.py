r"""Bytes per image on a validation split: bound, static tables, context model, whole files; and label maps.

    python benchmarks/rates.py --config configs/data/camvid.yaml --data.source.root data/camvid \\
        --models weights/rate_distortion weights/conditional_gan --label_steps 1 8 16

Every file is decoded by another instance of its model, and the symbols are compared. Label maps are coded with a prior
fitted on the training split, on grids of `--label_steps` pixels per cell; PNG, WebP and JPEG XL code the same maps
losslessly with their slowest search.
"""

import io
import platform
from collections.abc import Iterable
from typing import Any

import numpy as np
import PIL
import torch
from jsonargparse import ArgumentParser
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track

import semcomp_pl
from semcomp_pl.codecs.pixels import psnr
from semcomp_pl.coding.label_map import LabelCoder, fit_prior
from semcomp_pl.coding.latent import STATIC
from semcomp_pl.data import ImageDataModule
from semcomp_pl.nets.labels import majority

FORMATS: dict[str, dict[str, Any]] = {
    "PNG": {"optimize": True},
    "WEBP": {"lossless": True, "quality": 100, "method": 6},
    "JXL": {"lossless": True, "effort": 9},
}


def main() -> None:
    """Measure and print Markdown tables."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--config", action="config")
    parser.add_class_arguments(ImageDataModule, "data")
    parser.add_argument("--models", type=str, nargs="*", default=[], help="checkpoints or exports with fitted tables")
    parser.add_argument("--label_steps", type=int, nargs="*", default=[], help="sides of label map cells, in pixels")
    config = parser.parse_args()
    data = parser.instantiate(config).data
    assert data.size is not None, "data.size: null found, expected one size for all"
    data.setup("validate")
    print(f"{len(data.stores['val'])} images of {data.size.width}x{data.size.height}; ", end="")
    print(f"{platform.machine()}, torch {torch.__version__}, NumPy {np.__version__}, Pillow {PIL.__version__}\n")
    if config.models:
        print("| model | bound | static | context | under static | under bound | labels | file | bpp | PSNR, dB |")
        print("|" + " --- |" * 10)
    for path in config.models:
        print(_model_row(path, data), flush=True)
    if config.label_steps:
        print("\n| label map | bound | " + " | ".join(FORMATS) + " | this | of WebP | without a prior |")
        print("|" + " --- |" * (5 + len(FORMATS)))
    for step in config.label_steps:
        print(_label_row(data, step), flush=True)


def _model_row(path: str, data: ImageDataModule) -> str:
    """Means over images in bytes: ideal lengths of the symbols alone, then sizes of files."""
    codec, reader = semcomp_pl.load(path), semcomp_pl.load(path)
    coder, labels = codec.net.entropy.latent_coder(), codec.net.label_section()
    assert coder.context is not None, f"{path}: no context model"
    sums: dict[str, float] = {}
    images = 0
    for batch in track(data.val_dataloader(), path, transient=True):
        contents = codec.analyse(batch["image"], batch["label"] if codec.sends_labels else None)
        for image, content in zip(batch["image"], contents, strict=True):
            file = codec.file.write(content)
            again = reader.file.read(file)
            assert (again.symbols == content.symbols).all()
            known = None if labels is None else labels.on_grid(content)
            found = {
                "bound": coder.bound_bits(*content.symbols.shape[1:]) / 8,
                "static": coder.ideal_bits(STATIC, content.symbols) / 8,
                "context": coder.context.bits(content.symbols, known) / 8,
                "labels": codec.sections(file).get("labels", 0),
                "file": len(file),
                "psnr": psnr(reader.synthesise([again])[0][None], image[None]).item(),
            }
            sums = {name: sums.get(name, 0.0) + value for name, value in found.items()}
            images += 1
    means = {name: value / images for name, value in sums.items()}
    assert data.size is not None
    pixels = data.size.height * data.size.width
    saved = [f"{100 * (1 - means['context'] / means[name]):.1f} %" for name in ("static", "bound")]
    cells = [*(f"{means[name]:.1f}" for name in ("bound", "static", "context")), *saved]
    cells += [f"{means['labels']:.1f}", f"{means['file']:.1f}", f"{8 * means['file'] / pixels:.4f}"]
    return f"| {path} | " + " | ".join([*cells, f"{means['psnr']:.2f}"]) + " |"


def _label_row(data: ImageDataModule, step: int) -> str:
    """Means over the validation split's label maps, in bytes."""
    classes = data.num_classes
    train, val = (_maps(data, split, step) for split in ("train", "val"))
    order = np.random.default_rng(0).permutation(2 * len(train))
    prior = fit_prior(classes, (train[i // 2][:, :: 1 - 2 * (i % 2)] for i in order))  # each map and its mirror image
    coder, fresh = LabelCoder(classes, prior), LabelCoder(classes)
    sizes = [_mean(_image_size(label, form) for label in val) for form in FORMATS]
    files = [coder.encode(label) for label in val]
    for label, (how, payload) in zip(val, files, strict=True):
        assert (coder.decode(how, payload, *label.shape) == label).all()
    ours, unprimed = (_mean(len(one.encode(label)[1]) for label in val) for one in (coder, fresh))
    height, width = val[0].shape
    cells = [coder.bound_bits(height * width) / 8, *sizes, ours]
    shown = [*(f"{cell:.1f}" for cell in cells), f"{ours / sizes[1]:.3f}", f"{unprimed:.1f}"]
    return f"| {width}x{height} | " + " | ".join(shown) + " |"


def _maps(data: ImageDataModule, split: str, step: int) -> list[NDArray[np.uint8]]:
    store = data.store(split)  # type: ignore[arg-type]
    # training maps are kept larger, for crops; here they are cut to the validation split's frame
    frame = data.size
    assert frame is not None
    maps = [frame.map(np.asarray(store[i]["label"])) for i in range(len(store))]
    if step > 1:
        stacked = torch.from_numpy(np.stack(maps).astype(np.int64))
        maps = [*majority(stacked, data.num_classes, step).byte().numpy()]
    return maps


def _image_size(label: NDArray[np.uint8], form: str) -> int:
    if form == "JXL":
        import pillow_jxl  # noqa: F401  # registers the format
    stream = io.BytesIO()
    Image.fromarray(label).save(stream, form, **FORMATS[form])
    return len(stream.getvalue())


def _mean(values: Iterable[int]) -> float:
    return float(np.mean([*values]))


if __name__ == "__main__":
    main()
