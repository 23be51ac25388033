"""The LightningDataModule that prepares, caches, augments and batches all data sets."""

import os
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from lightning import LightningDataModule
from lightning.pytorch.overrides.distributed import UnrepeatedDistributedSampler
from lightning.pytorch.utilities import rank_zero_warn
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from semcomp_pl.data import cache
from semcomp_pl.data.augment import Augmentation
from semcomp_pl.data.frame import Frame
from semcomp_pl.data.order import Draw, EpochSampler, ShardSampler, Use, random_numbers, torch_seeded
from semcomp_pl.data.resident import ResidentLoader
from semcomp_pl.data.resume import TrainLoader, limited
from semcomp_pl.data.source import ImageSource, Split
from semcomp_pl.errors import SemcompError, SemcompWarning
from semcomp_pl.files.places import expand_home
from semcomp_pl.progress import tracked
from semcomp_pl.types import Batch


class ImageDataModule(LightningDataModule):
    """Batches (`semcomp_pl.types.Batch`) from any image source.

    Args:
        source: The data set.
        size: Height and width in pixels of all images, which are cropped to this aspect ratio at the centre and
            resized. `null` keeps images as they are and evaluates them one at a time.
        train_size: Height and width in pixels of cached training images, from which random crops are taken; `size` if
            not given.
        crop_scale: Smallest and largest side of the random training crop, as a fraction of the largest possible crop
            of `crop_size`'s aspect ratio; the crop is then resized to `crop_size`.
        crop_size: Height and width in pixels of training images; `size` if not given. Required for training if `size`
            is null.
        flip: Mirror training images at random.
        colour_jitter: Largest relative change of brightness, contrast and saturation of training images.
        degrade: Share of training images, 0 to 1, that are degraded, each in one of five ways: blur (standard deviation
            of 0.5 to 2 pixels), noise (0.02 to 0.1 of the range), JPEG (quality 5 to 40), WebP (quality 0 to 40), or
            made 2 to 4 times smaller and enlarged again. For segmenters that shall judge decoded images. Not with
            `resident`.
        batch_size: Number of images in a training batch, per process.
        eval_batch_size: Number of images in a batch of validation, test or prediction.
        num_workers: Number of processes that load training batches, and of threads that build the cache.
        test_split: Split that `test` and `predict` read; `val` by default, as Cityscapes and others publish no test
            labels.
        instances: Whether to load instance maps too.
        cache_dir: Directory for prepared images; beside the data (`ROOT/.semcomp_cache`) if not given.
        on_error: What to do about an unreadable file: `raise` stops, `skip` leaves it out with a warning.
        seed: Seed of the order and the augmentation of training images.
        resident: Keep the cached training images in the memory of the training device, and make batches there. All
            images must have one size. Images of a batch are cropped at the same scale, each at its own place. With
            several processes, each keeps and trains on its own part of the images.
    """

    def __init__(
        self,
        source: ImageSource,
        size: tuple[int, int] | None = (128, 256),
        train_size: tuple[int, int] | None = None,
        crop_scale: tuple[float, float] = (1.0, 1.0),
        crop_size: tuple[int, int] | None = None,
        flip: bool = True,
        colour_jitter: float = 0.0,
        degrade: float = 0.0,
        batch_size: int = 8,
        eval_batch_size: int = 8,
        num_workers: int = 2,
        test_split: Split = "val",
        instances: bool = False,
        cache_dir: str | None = None,
        on_error: cache.OnError = "raise",
        seed: int = 0,
        resident: bool = False,
    ) -> None:
        super().__init__()
        _check_least(1, batch_size=batch_size, eval_batch_size=eval_batch_size)
        _check_least(0, num_workers=num_workers)
        _check_least(1, size=size, train_size=train_size, crop_size=crop_size)
        if not 0 <= degrade <= 1:
            raise SemcompError(f"data.degrade={degrade} found, expected a share between 0 and 1")
        if degrade and resident:
            raise SemcompError(
                f"data.degrade={degrade} with data.resident=true found, expected one of them, as only loading workers "
                "compress and blur images; give --data.resident false, or leave --data.degrade 0"
            )
        self.source = source
        self.size = Frame(*size) if size else None
        self.train_size = Frame(*train_size) if train_size else self.size
        self.crop_size = Frame(*crop_size) if crop_size else self.size
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size if size else 1
        self.num_workers = num_workers
        self.test_split = test_split
        self.instances = instances
        self.cache_dir = Path(expand_home(cache_dir)) if cache_dir else None
        self.on_error = on_error
        self.seed = seed
        self.resident = resident
        self.augmentation = Augmentation(self.crop_size, crop_scale, flip, colour_jitter, degrade)
        self.transform = self.augmentation.transform()

    @property
    def num_classes(self) -> int:
        """Number of classes of the label maps; 0 if there are no labels."""
        return self.source.num_classes

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes 0..K-1."""
        return self.source.classes

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the sources that a mixture is made of; empty for a single source."""
        return self.source.parts

    def statistics(self) -> tuple[list[float], list[float]]:
        """Channel mean and standard deviation over all pixels of the training split, range [0, 1]."""
        return self.store("train").statistics()

    def class_shares(self) -> list[float]:
        """Share of each class 0..K-1 among the labelled pixels of the training split."""
        known = self.store("train").label_counts()[: self.num_classes]
        return [float(share) for share in known / max(1, known.sum())]

    def store(self, split: Split) -> cache.Store:
        """The prepared samples of a split; the cache is built if missing."""
        samples = self.source.samples(split)
        if not self.instances:
            samples = [sample._replace(instance=None) for sample in samples]
        frame = self.train_size if split == "train" else self.size
        directory = self.cache_dir or self.source.root / ".semcomp_cache"
        store = cache.build(samples, self.source, frame, directory, workers=self.num_workers, on_error=self.on_error)
        if store.skipped:
            rank_zero_warn(
                f"{split}: {len(store.skipped)} of {len(samples)} images left out; first: {store.skipped[0]}",
                category=SemcompWarning,
            )
        return store

    def prepare_data(self) -> None:
        """Generate procedural data, once per machine."""
        self.source.prepare()

    def setup(self, stage: str) -> None:
        """Open the splits that `stage` needs."""
        splits: dict[str, tuple[Split, ...]] = {"fit": ("train", "val"), "validate": ("val",)}
        self.stores = {split: self.store(split) for split in splits.get(stage, (self.test_split,))}
        if "train" in self.stores:
            for doubt in self.source.doubts(self.stores["train"].label_counts()):
                rank_zero_warn(doubt, category=SemcompWarning)

    def train_dataloader(self) -> TrainLoader | ResidentLoader:
        """Shuffled and augmented batches; an incomplete last batch is dropped."""
        if self.crop_size is None:
            raise SemcompError(
                "data.size=null without data.crop_size found, expected one size for all training images; give "
                "--data.crop_size"
            )
        store = self.stores["train"]
        place = (self.batch_size, self._world(), self._rank(), self.seed, self.source.weights(store.names))
        if len(store) < self.batch_size * self._world():
            raise SemcompError(
                f"{self.source.root}: {len(store)} training images found, expected at least one batch of "
                f"{self.batch_size} for each of {self._world()} processes; lower --data.batch_size"
            )
        loader: TrainLoader | ResidentLoader
        if self.resident:
            loader = ResidentLoader(store, self.augmentation, ShardSampler(len(store), *place), self._device())
        else:
            loader = TrainLoader(
                TrainingImages(store, self.transform, self.seed),
                batch_size=self.batch_size,
                sampler=EpochSampler(len(store), *place),
                num_workers=self.num_workers,
                drop_last=True,
                persistent_workers=self.num_workers > 0,
                multiprocessing_context=_start_method(self.num_workers),
                worker_init_fn=_leave_group,
                **self._common(),
            )
        if self.trainer:
            loader.trainer = self.trainer
            # Lightning makes the first iterator of a run that goes on before it tells the sampler the epoch
            epochs: Any = self.trainer.fit_loop.epoch_progress.current
            loader.sampler.set_epoch(epochs.processed)
        return loader

    def first_epochs(self, count: int, title: str) -> Iterator[Batch]:
        """This process's training batches of the first epochs, wherever training is; progress is shown under a title.

        Nothing is shown where training shows no progress.
        """
        loader = self.train_dataloader()
        taken = limited(len(loader), self.trainer.limit_train_batches)  # type: ignore[union-attr]

        def batches() -> Iterator[Any]:
            for epoch in range(count):
                loader.sampler.place(epoch, 0)
                yield from islice(loader, taken)

        shown = self._rank() == 0 and self.trainer.progress_bar_callback is not None  # type: ignore[union-attr]
        return tracked(batches(), title, count * taken) if shown else batches()

    def val_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Batches of validation images, each image once over all processes."""
        return self._eval_dataloader("val")

    def test_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Batches of the test split's images, each image once over all processes."""
        return self._eval_dataloader(self.test_split)

    predict_dataloader = test_dataloader

    def _eval_dataloader(self, split: Split) -> DataLoader[dict[str, Any]]:
        data = ImageDataset(self.stores[split])
        if len(data) < self._world():
            raise SemcompError(
                f"{self.source.root}: {len(data)} {split} images for {self._world()} processes, expected at least "
                "one each; lower --trainer.devices"
            )
        sampler = UnrepeatedDistributedSampler(data, self._world(), self._rank(), shuffle=False)
        # by keyword: Lightning rebuilds the loader for `predict`, and would pass a positional batch size twice
        return DataLoader(data, batch_size=self.eval_batch_size, sampler=sampler, **self._common())

    def _common(self) -> dict[str, Any]:
        # with a generator of its own, a loader draws no seed for its workers from the model's
        return {"generator": torch.Generator(), "pin_memory": self._device().type == "cuda"}

    def _device(self) -> torch.device:
        return self.trainer.strategy.root_device if self.trainer else torch.device("cpu")

    def _world(self) -> int:
        return self.trainer.world_size if self.trainer else 1

    def _rank(self) -> int:
        return self.trainer.global_rank if self.trainer else 0


def _check_least(least: int, **given: int | tuple[int, int] | None) -> None:
    """Refuse numbers that are too small, alone or in pairs."""
    for name, value in given.items():
        if value is not None and min(value if isinstance(value, tuple | list) else (value,)) < least:
            raise SemcompError(f"data.{name}={value} found, expected {least} or more; set --data.{name}")


class ImageDataset(Dataset[dict[str, Any]]):
    """Tensors from a cache: image float (3, H, W) in [0, 1], label and instance long (H, W), name."""

    def __init__(self, store: cache.Store, transform: v2.Transform | None = None) -> None:
        self.store, self.transform = store, transform

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One sample, its image and maps transformed together."""
        arrays = {kind: torch.from_numpy(values.copy()) for kind, values in self.store[index].items()}
        sample: dict[str, Any] = {"image": tv_tensors.Image(arrays.pop("image").permute(2, 0, 1))}
        sample |= {kind: tv_tensors.Mask(values.int()) for kind, values in arrays.items()}
        if self.transform is not None:
            sample = self.transform(sample)
        tensors = {kind: values.as_subclass(torch.Tensor) for kind, values in sample.items()}
        tensors = {kind: v / 255 if kind == "image" else v.long() for kind, v in tensors.items()}
        return {**tensors, "name": self.store.names[index]}


class TrainingImages(ImageDataset):
    """Augmented samples, whose random draws depend on (seed, epoch, index, turn) alone."""

    def __init__(self, store: cache.Store, transform: v2.Transform, seed: int) -> None:
        super().__init__(store, transform)
        self.seed = seed

    def __getitem__(self, draw: Draw | int) -> dict[str, Any]:
        """The sample of a draw; of epoch 0 if an index alone is given, as Trainer(overfit_batches=...) does."""
        epoch, index, turn = draw if isinstance(draw, tuple) else Draw(0, draw)
        seeds = random_numbers(self.seed, Use.IMAGE, epoch, index).integers(2**63, size=turn + 1)
        with torch_seeded(int(seeds[turn])):
            return super().__getitem__(index)


def _leave_group(worker: int) -> None:
    """Keep signals for the group of the training process, such as torchrun's SIGTERM, from its workers.

    They end when it ends; if they ended before it, it could save no checkpoint.
    """
    if sys.platform != "win32":
        os.setpgid(0, 0)


def _start_method(workers: int) -> str | None:
    """Start of worker processes.

    Forked workers share what this process has imported and start in hundredths of a second. Others, Python 3.14's
    default among them, import torch first. Workers read files and use one thread of the CPU, so they inherit no state
    that a fork breaks. macOS's own libraries do not survive it.
    """
    return "fork" if workers and sys.platform == "linux" else None
