"""What a comparison is told: codecs, data, judge, metrics."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from jsonargparse import Namespace
from lightning.pytorch.loggers import WandbLogger

from semcomp_pl.compare.summary import TARGETS
from semcomp_pl.data import ImageDataModule
from semcomp_pl.data.source import Split
from semcomp_pl.errors import SemcompError
from semcomp_pl.cli.parser import Parser
from semcomp_pl.files.places import resolve_config

_FLAGS = {"--data": "--config", "-o": "--output"}  # a data YAML names its own key
Format = Literal["WebP", "AVIF", "JPEG", "OptimizedJPEG", "JPEG2000", "JPEGXL"]
Metric = Literal["feature_distance", "lpips", "dists", "musiq", "fid", "kid", "latent_iou"]


@dataclass(frozen=True)
class ModelCodec:
    """A trained model at one operating point.

    Args:
        model: Checkpoint, export, run, or the name of one in weights/ or runs/.
        codec: Display name; models of one name are points of one curve. The model's class if not given.
        point: Operating point; its downsamplings, channels and levels if not given, such as `d4C8L5`.
        labels: Where the label map of models that send one comes from: the comparison's segmenter, or the true labels,
            which makes the row an oracle's.
        segmenter: That makes them, where this model needs another one than the comparison's.
        keep: Classes whose symbols are sent, of a model that chooses; everything if not given.
    """

    model: str
    codec: str | None = None
    point: str | None = None
    labels: Literal["segmenter", "true"] = "segmenter"
    segmenter: str | None = None
    keep: list[str] | None = None


@dataclass(frozen=True)
class Reference:
    """A still-image format, searched for target rates, at fixed settings, or both.

    Args:
        format: Class in semcomp_pl.codecs.
        codec: Display name; the format's if not given.
        targets: Bits per pixel, for each of which every image is coded at its best downscale and quality below it.
        points: Pairs of downscale and quality.
    """

    format: Format
    codec: str | None = None
    targets: list[float] = field(default_factory=list)
    points: list[tuple[float, int]] = field(default_factory=list)


@dataclass(frozen=True)
class Wandb:
    """The W&B run that the summary goes to; WANDB_MODE=offline needs no account.

    Args:
        project: None for no run.
        name: Of the run; the output directory's if not given.
        entity: Team or user; the account's own if not given.
    """

    project: str | None = None
    name: str | None = None
    entity: str | None = None


@dataclass(frozen=True)
class Settings:
    """Everything but the data.

    Args:
        output: Directory of rows, summary, figures and report; an interrupted comparison goes on in it.
        codecs: Trained models.
        references: Still-image formats.
        split: Of the data.
        images: First images of the split to compare on; all if not given.
        judge: Segmenter that reads originals and reconstructions; no model may have been trained against it.
        realism_judge: Checkpoint of an adversarial model, whose discriminator gives `discriminator_fm`; it may be none
            of the models compared.
        segmenter: Another one, that makes the label maps of models that send them.
        metrics: Beside PSNR, MS-SSIM and what the judge says. One whose weights are not there is left out.
        targets: Bits per pixel at which codecs are compared.
        draws: Resamplings of the bootstrap.
        seed: Of the bootstrap.
        pictures: Images, evenly over the split, whose reconstructions the report shows.
        timed_images: Images of the serial pass that takes times and memory; 0 for no such pass.
        workers: Processes that code and measure; 0 for this one alone, which a GPU needs.
        device: cpu or cuda.
        wandb: Where to send the summary.
    """

    output: str = "comparison"
    codecs: list[ModelCodec] = field(default_factory=list)
    references: list[Reference] = field(default_factory=list)
    split: Split = "val"
    images: int | None = None
    judge: str | None = None
    realism_judge: str | None = None
    segmenter: str | None = None
    metrics: list[Metric] = field(default_factory=list)
    targets: list[float] = field(default_factory=lambda: list(TARGETS))
    draws: int = 10_000
    seed: int = 0
    pictures: int = 20
    timed_images: int = 3
    workers: int = 2
    device: str = "cpu"
    wandb: Wandb = field(default_factory=Wandb)


def parse(args: Sequence[str]) -> tuple[Settings, ImageDataModule, WandbLogger | None, str]:
    """Settings and data of `semcomp compare`, the logger where one was configured, and all of it as YAML.

    Raises:
        SemcompError: unknown or missing settings, or numbers out of range.
    """
    parts = (arg.partition("=") for arg in args)
    args = [_FLAGS.get(flag, flag) + equals + value for flag, equals, value in parts]
    parser = Parser(prog="semcomp compare", description="Every codec over the same images: rows, summary, report.")
    parser.add_argument("models", nargs="*", type=str, default=[], help="Further models, by path or name.")
    parser.add_argument("--config", action="config", help="YAML of a comparison, of data or of the W&B logger.")
    parser.add_class_arguments(ImageDataModule, "data")
    parser.add_class_arguments(Settings, None)
    parser.add_argument("--trainer.logger", type=WandbLogger | None, default=None, help="As of the other commands.")
    config = parser.parse_args([resolve_config(arg) for arg in args])
    if config.models and not config.references:
        config.references = [Namespace(**asdict(one)) for one in sensible_references()]  # type: ignore[no-untyped-call]
    config.codecs = [*config.codecs, *(Namespace(**asdict(ModelCodec(model))) for model in config.models)]  # type: ignore[no-untyped-call]
    config.models = []
    built = parser.instantiate(config)
    settings = Settings(**{name: built[name] for name in Settings.__dataclass_fields__})
    check(settings)
    return settings, built.data, built.trainer.logger, str(parser.dump(config))


def sensible_references() -> list[Reference]:
    """The formats that everybody knows, at the target rates."""
    formats: dict[str, Format] = {"WebP": "WebP", "AVIF": "AVIF", "JPEG": "OptimizedJPEG", "JPEG 2000": "JPEG2000"}
    return [Reference(kind, name, list(TARGETS)) for name, kind in formats.items()]


def check(settings: Settings) -> None:
    """Refuse what no comparison can be made of.

    Raises:
        SemcompError: no codec, a reference without points, or a number out of range.
    """
    if not settings.codecs and not settings.references:
        raise SemcompError("no codec found to compare; name models, or a --config with codecs or references")
    for one in settings.references:
        if not one.targets and not one.points:
            raise SemcompError(f"reference {one.format} without targets or points found; give it some of either")
    numbers = {"images": 1, "draws": 1, "pictures": 0, "timed_images": 0, "workers": 0, "seed": 0}
    for name, least in numbers.items():
        found = getattr(settings, name)
        if found is not None and found < least:
            raise SemcompError(f"{name}={found} found, expected {least} or more")
    targets = [*settings.targets, *(target for one in settings.references for target in one.targets)]
    if not settings.targets or any(target <= 0 for target in targets):
        raise SemcompError(f"target rates {targets} found, expected some bits per pixel above 0")
    if settings.device != "cpu" and settings.workers:
        raise SemcompError(
            f"device={settings.device} with workers={settings.workers} found, expected workers=0: one process a GPU; "
            "for several GPUs use torchrun"
        )
    if Path(settings.output).is_file():
        raise SemcompError(f"{settings.output}: a file found, expected a directory or nothing; choose another --output")
