"""A tiny labelled data set, and every shipped model at a size that trains in a second."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from lightning import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from PIL import Image

from semcomp_pl.checkpoints.bundle import rounded
from semcomp_pl.codecs.neural import NeuralCodec
from semcomp_pl.data import Folder, ImageDataModule
from semcomp_pl.files.places import configs_root
from semcomp_pl.modules import CoCliCo, SemanticDistortionGAN
from semcomp_pl.modules.adversarial import AdversarialCodec
from semcomp_pl.modules.base import CodecModule
from semcomp_pl.modules.labelled import LabelledGAN
from semcomp_pl.nets.codec import CodecNet
from semcomp_pl.training.entropy import fit_entropy
from semcomp_pl.types import Batch

CLASSES = ["sky", "wall", "road", "car"]
CONFIGS = {file.stem: file for file in sorted((configs_root() / "model").glob("*.yaml"))}


def _model(config: Path) -> Any:
    """The class that a config names."""
    module, _, kind = yaml.safe_load(config.read_text())["model"]["class_path"].rpartition(".")
    return getattr(import_module(module), kind)


MODELS: dict[str, Any] = {name: _model(file) for name, file in CONFIGS.items()}
"""Classes by the names of their configs, so that a new model is tested for what it is."""
CODECS = [name for name, kind in MODELS.items() if issubclass(kind, CodecModule)]
SEGMENTERS = [name for name in MODELS if name not in CODECS]
ADVERSARIAL = [name for name, kind in MODELS.items() if issubclass(kind, AdversarialCodec)]
LABELLED = [name for name in CODECS if issubclass(MODELS[name], LabelledGAN)]
"""Codecs whose files hold a label map."""
LATENTS = [name for name in CODECS if MODELS[name].net_type.symbols_are_code is CodecNet.symbols_are_code]
"""Codecs whose files hold a learned latent, and no picture or vector in its place."""
GANS = [name for name in ADVERSARIAL if name in LATENTS]
TINY = {"filters": 8, "blocks": 1}
DRAWN = {"filters": 16, "latent_space": "pixels", "pixels": 4096, "steps": 2}
HEIGHT, WIDTH = 32, 64


class Lab:
    """Where tests make, train and feed models.

    Args:
        root: A `Folder` data set of 8 training and 3 validation images.
        segmenter: Checkpoint of a segmenter of its classes; empty while that is being made.
    """

    def __init__(self, root: Path, segmenter: str = "") -> None:
        self.root, self.segmenter = root, segmenter

    def data(self, labels: bool = True) -> ImageDataModule:
        """The data set, with its masks or without."""
        source = Folder(str(self.root), masks="annot" if labels else None, classes=CLASSES if labels else [])
        return ImageDataModule(source, (HEIGHT, WIDTH), flip=False, batch_size=4, eval_batch_size=2, num_workers=0)

    def model(self, name: str, **options: Any) -> Any:
        """The model of a shipped YAML, shrunk; with a segmenter where it cannot train without."""
        config, kind = yaml.safe_load(CONFIGS[name].read_text())["model"], MODELS[name]
        tiny: dict[str, Any] = {"num_classes": len(CLASSES)}
        tiny |= TINY if name in CODECS else {}
        tiny |= {"discriminator_filters": 4} if name in ADVERSARIAL else {}
        tiny |= DRAWN if issubclass(kind, CoCliCo) else {}
        tiny |= {"segmenter": self.segmenter} if issubclass(kind, SemanticDistortionGAN) else {}
        seed_everything(0, verbose=False)
        return kind(**{**config["init_args"], **tiny, **options})

    def codec(self, name: str, **options: Any) -> NeuralCodec:
        """The codec of an untrained model, whose symbols take every level all the same."""
        model = self.model(name, **options)
        spread(model.codec)
        codec: NeuralCodec = model.neural_codec()
        return codec

    def batch(self, split: str = "val") -> Batch:
        """The first batch of a split."""
        data = self.data()
        data.setup("fit")
        batch: Batch = next(iter(getattr(data, f"{split}_dataloader")()))
        return batch

    def batches(self) -> list[Batch]:
        """All batches of the validation split."""
        data = self.data()
        data.setup("validate")
        return [*data.val_dataloader()]

    def trainer(self, epochs: int = 1, callbacks: Sequence[Callback] = (), **options: Any) -> Trainer:
        """A quiet trainer on one core."""
        quiet: dict[str, Any] = {
            "logger": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "log_every_n_steps": 1,
        }
        saves = any(isinstance(callback, ModelCheckpoint) for callback in callbacks)
        return Trainer(
            accelerator="cpu",
            max_epochs=epochs,
            callbacks=list(callbacks),
            enable_checkpointing=saves,
            **{**quiet, **options},
        )

    def fit(self, model: Any, epochs: int = 1, callbacks: Sequence[Callback] = (), **options: Any) -> Trainer:
        """Train, and return the trainer that did it."""
        trainer = self.trainer(epochs, callbacks, **options)
        trainer.fit(model, datamodule=self.data(), weights_only=True)
        return trainer

    def checkpoint(self, model: Any, file: Path) -> Path:
        """Train for an epoch and save."""
        self.fit(model).save_checkpoint(file)
        return file

    def fitted(self, model: CodecModule, file: Path, steps: int = 30, passes: int = 2) -> Path:
        """Train for an epoch, fit the tables, and save."""
        spread(model.codec)
        trainer = self.fit(model)
        self.fit_tables(model, steps, passes)
        trainer.save_checkpoint(file)
        return file

    def fit_tables(self, model: CodecModule, steps: int, passes: int) -> None:
        """Fit the tables of a trained model's files."""
        model.codec.entropy.load_state_dict(fit_entropy(model.eval().neural_codec(), self.data(), steps, passes))
        model.eval()


class Distortions(Callback):
    """The distortion of every step."""

    def __init__(self) -> None:
        self.found: list[float] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.found.append(float(trainer.callback_metrics["train/distortion"]))


def write_noise(root: Path, counts: Mapping[str, int], rng: np.random.Generator) -> Path:
    """Write a directory of square images of noise for each split, and return the root of all."""
    for split, count in counts.items():
        (root / split).mkdir()
        for i in range(count):
            Image.fromarray(rng.integers(0, 256, (24, 24, 3), np.uint8)).save(root / split / f"{i:02}.png")
    return root


def tampered(source: Path, target: Path, **changes: Any) -> Path:
    """A copy of a checkpoint with other entries; dictionaries are merged."""
    content = torch.load(source, weights_only=True)
    for key, value in changes.items():
        content[key] = {**content[key], **value} if isinstance(value, dict) else value
    torch.save(content, target)
    return target


def reconstruct(model: CodecModule, batch: Mapping[str, Any]) -> torch.Tensor:
    """What a model makes of a batch."""
    return model.eval().evaluate(batch).reconstruction  # type: ignore[arg-type]


def spread(net: CodecNet) -> CodecNet:
    """The network with latents of every level, where those of an untrained encoder are near 0."""
    *_, bottleneck = net.encoder.modules()
    bottleneck.get_parameter("weight").data *= 20 if net.symbols_are_code else 1
    return net


def as_exported(model: CodecModule) -> CodecModule:
    """The model, its weights rounded to those of an export, which files are coded with."""
    model.load_state_dict(rounded(model.state_dict()), strict=False)
    model.eval()
    return model


def scene(height: int, width: int, seed: int = 0) -> torch.Tensor:
    """A smooth image (3, H, W)."""
    coarse = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")[0].clamp(0, 1)


def label_of(image: torch.Tensor) -> torch.Tensor:
    """A label map (H, W) for an image."""
    return (image[0] * (len(CLASSES) - 1e-3)).long()


def write_png(file: Path, image: torch.Tensor) -> None:
    """An image (3, H, W) in [0, 1] as a file."""
    Image.fromarray((image * 255).round().byte().permute(1, 2, 0).numpy()).save(file)


def write_images(root: Path, counts: Mapping[str, int]) -> None:
    """Images of coloured blocks by split, with masks of their classes and a few ignored pixels."""
    rng = np.random.default_rng(0)
    for split, count in counts.items():
        for i in range(count):
            blocks = rng.integers(0, len(CLASSES), (2, 4))
            mask = blocks.repeat(HEIGHT // 2, 0).repeat(WIDTH // 4, 1).astype(np.uint8)
            colours = rng.integers(0, 230, (len(CLASSES), 3))
            image = colours[mask] + rng.integers(0, 24, (HEIGHT, WIDTH, 3))
            mask[:3, :5] = 255
            for directory, pixels in ((split, image), (f"{split}annot", mask)):
                (root / directory).mkdir(exist_ok=True)
                Image.fromarray(pixels.astype(np.uint8)).save(root / directory / f"{i}.png")


def make_lab(root: Path) -> Lab:
    """A lab in a directory, with a segmenter."""
    write_images(root, {"train": 8, "val": 3})
    alone = Lab(root)
    return Lab(root, str(alone.checkpoint(alone.model("pspnet"), root / "segmenter.ckpt")))
