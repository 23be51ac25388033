"""Images to train on where there is no data set: smooth random ones, in CamVid's layout and with its classes."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image

from semcomp_pl.files.places import configs_root

CLASSES = 11


def write_pictures(root: Path, images: int, size: tuple[int, int] = (360, 480), copies: int = 1) -> Path:
    """Write PNGs with label maps to `root`, and 8 for validation.

    Args:
        root: Directory to make.
        images: Number of different training images.
        size: Their height and width.
        copies: How often each stands in the training split, under a name of its own.
    """
    for directory in ("train", "trainannot", "val", "valannot"):
        (root / directory).mkdir(parents=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda number: _write_picture(root, "train", number, size, copies), range(images)))
        list(pool.map(lambda number: _write_picture(root, "val", number, size, 1), range(8)))
    return root


def _write_picture(root: Path, split: str, number: int, size: tuple[int, int], copies: int) -> None:
    rng = np.random.default_rng([len(split), number])
    coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    label = Image.fromarray(rng.integers(0, CLASSES, (6, 8), dtype=np.uint8))
    whole = {split: coarse.resize(size[::-1], Image.Resampling.BICUBIC)}
    whole[f"{split}annot"] = label.resize(size[::-1], Image.Resampling.NEAREST)
    for directory, picture in whole.items():
        file = root / directory / f"{number}_0.png"
        picture.save(file, compress_level=1)
        for copy in range(1, copies):
            file.with_name(f"{number}_{copy}.png").hardlink_to(file)


def write_segmenter(file: Path, size: tuple[int, int] = (360, 480)) -> Path:
    """Write a checkpoint of the shipped PSPNet, untrained, that says it was trained on images of a size."""
    from semcomp_pl.modules import Segmentation  # which takes seconds

    config = yaml.safe_load((configs_root() / "model" / "pspnet.yaml").read_text())["model"]["init_args"]
    torch.manual_seed(0)
    module = Segmentation(**config, num_classes=CLASSES, class_names=[str(i) for i in range(CLASSES)])
    module.segmenter.set_input_size(size)
    saved = {"model": "Segmentation", "hyper_parameters": dict(module.hparams), "state_dict": module.state_dict()}
    torch.save(saved, file)
    return file
