"""Settings of a comparison: codecs, judge, metrics and how to run; the data module describes the data."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from pydantic import ConfigDict

from semcomp_pl.compare.summary import TARGETS
from semcomp_pl.data.source import Split
from semcomp_pl.errors import SemcompError
from semcomp_pl.metrics.catalogue import EXTRAS

LOAD = "semcomp_pl.load"
"""Class path of the function that loads the codec of a trained model."""
if TYPE_CHECKING:
    Metric: TypeAlias = str
else:
    Metric = Literal[(*EXTRAS, "latent_iou")]  # command lines list and check the names


@dataclass(frozen=True)
class CodecEntry:
    """A codec at one or several operating points.

    Args:
        class_path: Dotted path of a class or function that returns a codec: `semcomp_pl.load` for trained models,
            `semcomp_pl.codecs.WebP` and its neighbours, or your own, installed or in a Python file beside the YAML.
        init_args: Arguments of the class or function.
        codec: Display name; entries of the same name are points of one curve. By default the codec's own label.
        point: Name of the operating point, for an entry with a single one. By default the codec's own name for it, or
            else its arguments.
        points: Further arguments, one dictionary per operating point.
        targets: Target rates in bits per pixel; for each, every image is coded at the best quality whose file is no
            larger. The callable must take `quality`, 0 to 100; if it takes `downscale`, that is searched too.
        best: What the best quality has most of: `psnr`, or `agreement`, pixels in which the judges see the same class
            in the reconstruction and in the original. Such a codec was chosen by those who judge it.
        labels: Label map for a codec that sends one: `own`, from its segmenter, or `true`, the ground truth, which
            makes the row an oracle's.
    """

    class_path: str
    init_args: dict[str, Any] = field(default_factory=dict)
    codec: str | None = None
    point: str | None = None
    points: list[dict[str, Any]] = field(default_factory=list)
    targets: list[float] = field(default_factory=list)
    best: Literal["psnr", "agreement"] = "psnr"
    labels: Literal["own", "true"] = "own"
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Wandb:
    """The W&B run to which the summary is sent; WANDB_MODE=offline needs no account.

    Args:
        project: Name of the project; if not given, nothing is sent.
        name: Name of the run; the output directory's name if not given.
        entity: Team or user; the account's own if not given.
    """

    project: str | None = None
    name: str | None = None
    entity: str | None = None


@dataclass(frozen=True)
class Settings:
    """Settings of a comparison, except the data.

    Args:
        output: Directory for rows, summary, figures and report; an interrupted comparison is continued there.
        codecs: Codecs to compare, each with class_path and, as needed, init_args, codec, point, points, targets and
            labels; see the shipped files in configs/compare.
        paths: Directories with Python files of codecs; directories of --config files are searched anyway.
        imports: Modules of models from outside the suite, installed or in one of `paths`; `--import` adds to them.
        split: Split of the data to measure.
        images: Number of images, taken from the start of the split; all if not given.
        judge: Segmenter that labels originals and reconstructions, or a list of them, a panel; no codec may have been
            trained against any of them.
        realism_judge: Checkpoint of an adversarial model whose discriminator measures `discriminator_fm`; the model
            may not be among the codecs.
        segmenter: Segmenter, other than the judge, that makes the label maps for codecs that send one and have no
            segmenter.
        metrics: Metrics besides PSNR, MS-SSIM and the judge's; a metric whose weights are missing is left out.
        targets: Rates in bits per pixel at which codecs are compared.
        draws: Number of bootstrap resamplings.
        seed: Seed of the bootstrap.
        pictures: Number of images, evenly spread over the split, whose reconstructions the report shows.
        timed_images: Number of images in the serial pass that measures times and memory; 0 for no such pass.
        workers: Number of worker processes that code and measure; 0 uses this process alone, as a GPU requires.
        device: Device of the codecs and the judge: cpu or cuda.
        wandb: W&B run to send the summary to.
    """

    output: str = "comparison"
    codecs: list[CodecEntry] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    imports: list[str] = field(default_factory=list)
    split: Split = "val"
    images: int | None = None
    judge: str | list[str] | None = None
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

    @property
    def judges(self) -> list[str]:
        """The judges, however many were given."""
        return [self.judge] if isinstance(self.judge, str) else list(self.judge or ())


def sensible_references() -> list[CodecEntry]:
    """Entries of well-known still-image formats, searched at the target rates."""
    # optimised Huffman tables give the smallest baseline JPEG files
    formats = {"WebP": "WebP", "AVIF": "AVIF", "JPEG": "OptimizedJPEG", "JPEG 2000": "JPEG2000"}
    return [
        CodecEntry(f"semcomp_pl.codecs.{kind}", codec=name, targets=list(TARGETS)) for name, kind in formats.items()
    ]


def check(settings: Settings) -> None:
    """Refuse invalid settings.

    Raises:
        SemcompError: there is no codec, an entry contradicts itself, or a number is out of range.
    """
    if not settings.codecs:
        raise SemcompError("no codec found to compare; name models, or a --config with codecs")
    for contradiction in (said for entry in settings.codecs for said in _contradictions(entry)):
        raise SemcompError(contradiction)
    numbers = {"images": 1, "draws": 1, "pictures": 0, "timed_images": 0, "workers": 0, "seed": 0}
    for name, least in numbers.items():
        found = getattr(settings, name)
        if found is not None and found < least:
            raise SemcompError(f"{name}={found} found, expected {least} or more")
    targets = [*settings.targets, *(target for entry in settings.codecs for target in entry.targets)]
    if not settings.targets or any(target <= 0 for target in targets):
        raise SemcompError(f"target rates {targets} found, expected some bits per pixel above 0")
    if settings.device != "cpu" and settings.workers:
        raise SemcompError(
            f"device={settings.device} with workers={settings.workers} found, expected workers=0: one process per GPU; "
            "for several GPUs use torchrun"
        )
    if Path(settings.output).is_file():
        raise SemcompError(f"{settings.output}: a file found, expected a directory or nothing; choose another --output")


def _contradictions(entry: CodecEntry) -> Iterator[str]:
    if entry.point is not None and (entry.points or entry.targets):
        yield (
            f"{entry.class_path}: point {entry.point!r} beside points or targets found, which have names of their own; "
            "leave it out, or make an entry of each point"
        )
    if entry.targets and "quality" in entry.init_args:
        yield f"{entry.class_path}: a quality found beside targets, which it is searched for; leave out one of them"
    if entry.best != "psnr" and not entry.targets:
        yield f"{entry.class_path}: best={entry.best} without targets found, for which it is searched; add targets"
    if entry.targets and entry.labels == "true":
        yield f"{entry.class_path}: targets found for an oracle, whose quality cannot be searched; use points"
