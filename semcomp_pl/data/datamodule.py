"""The LightningDataModule that prepares, caches, augments and batches all data sets."""

from pathlib import Path
from typing import Any

import torch
from lightning import LightningDataModule
from lightning.pytorch.overrides.distributed import UnrepeatedDistributedSampler
from lightning.pytorch.utilities import rank_zero_warn
from torch.utils.data import DataLoader, Dataset, DistributedSampler
from torchvision import tv_tensors
from torchvision.transforms import v2

from semcomp_pl.data import cache
from semcomp_pl.data.frame import Frame
from semcomp_pl.data.source import ImageSource, Split
from semcomp_pl.errors import SemcompError, SemcompWarning
from semcomp_pl.files.places import expand_home


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
        batch_size: Number of images in a training batch, per process.
        eval_batch_size: Number of images in a batch of validation, test or prediction.
        num_workers: Number of processes that load training batches, and of those that build the cache.
        test_split: Split that `test` and `predict` read; `val` by default, as Cityscapes and others publish no test
            labels.
        instances: Whether to load instance maps too.
        cache_dir: Directory for prepared images; beside the data (`ROOT/.semcomp_cache`) if not given.
        on_error: What to do about an unreadable file: `raise` stops, `skip` leaves it out with a warning.
        seed: Seed of the order of training images.
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
        batch_size: int = 8,
        eval_batch_size: int = 8,
        num_workers: int = 2,
        test_split: Split = "val",
        instances: bool = False,
        cache_dir: str | None = None,
        on_error: cache.OnError = "raise",
        seed: int = 0,
    ) -> None:
        super().__init__()
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
        steps: list[v2.Transform] = [RandomCrop(self.crop_size, crop_scale)] if self.crop_size else []
        steps += [v2.RandomHorizontalFlip(0.5 * flip)]
        steps += [v2.ColorJitter(colour_jitter, colour_jitter, colour_jitter)] if colour_jitter else []
        self.transform = v2.Compose(steps)

    @property
    def num_classes(self) -> int:
        """Number of classes of the label maps; 0 if there are no labels."""
        return self.source.num_classes

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes 0..K-1."""
        return self.source.classes

    def statistics(self) -> tuple[list[float], list[float]]:
        """Channel mean and standard deviation of the training split, range [0, 1]."""
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

    def train_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Shuffled and augmented batches; an incomplete last batch is dropped."""
        if self.crop_size is None:
            raise SemcompError(
                "data.size=null without data.crop_size found, expected one size for all training images; give "
                "--data.crop_size"
            )
        data = ImageDataset(self.stores["train"], self.transform)
        if len(data) < self.batch_size * self._world():
            raise SemcompError(
                f"{self.source.root}: {len(data)} training images found, expected at least one batch of "
                f"{self.batch_size} for each of {self._world()} processes; lower --data.batch_size"
            )
        # a DistributedSampler even in one process: Lightning sets its epoch, so the order depends only on (seed, epoch)
        sampler: DistributedSampler[Any] = DistributedSampler(
            data, self._world(), self._rank(), seed=self.seed, drop_last=True
        )
        return DataLoader(
            data,
            batch_size=self.batch_size,
            sampler=sampler,
            num_workers=self.num_workers,
            drop_last=True,
            persistent_workers=self.num_workers > 0,
        )

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
        return DataLoader(data, batch_size=self.eval_batch_size, sampler=sampler)

    def _world(self) -> int:
        return self.trainer.world_size if self.trainer else 1

    def _rank(self) -> int:
        return self.trainer.global_rank if self.trainer else 0


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


class RandomCrop(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    """Crops a random box of the frame's aspect ratio and resizes it to the frame.

    The box's side is a random fraction, within `scale`, of the largest such box. torchvision's RandomResizedCrop draws
    areas instead, and falls back to another aspect ratio near the full size.
    """

    def __init__(self, frame: Frame, scale: tuple[float, float]) -> None:
        super().__init__()
        if not 0 < scale[0] <= scale[1] <= 1:
            raise SemcompError(f"crop_scale {scale} found, expected 0 < smallest <= largest <= 1")
        self.frame, self.scale = frame, scale

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw a random box."""
        height, width = v2.functional.get_size(flat_inputs[0])
        left, top, right, bottom = self.frame.box((width, height))
        side = torch.empty(1).uniform_(*self.scale).item()
        crop_height, crop_width = round((bottom - top) * side), round((right - left) * side)
        return {
            "top": int(torch.randint(height - crop_height + 1, ())),
            "left": int(torch.randint(width - crop_width + 1, ())),
            "height": crop_height,
            "width": crop_width,
        }

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Crop and resize one image or map."""
        # torchvision resizes masks by its older nearest rule, which shifts them by half a pixel against images
        mask = isinstance(inpt, tv_tensors.Mask)
        mode = v2.InterpolationMode.NEAREST_EXACT if mask else v2.InterpolationMode.BICUBIC
        pixels = inpt.as_subclass(torch.Tensor)
        pixels = v2.functional.resized_crop_image(
            pixels[None] if mask else pixels, **params, size=list(self.frame), interpolation=mode
        )
        return tv_tensors.wrap(pixels[0] if mask else pixels, like=inpt)
