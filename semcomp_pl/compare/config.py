"""What a comparison is told: codecs, judge, metrics and how to run; the data are described elsewhere."""

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
"""Makes the codec of a trained model."""
if TYPE_CHECKING:
    Metric: TypeAlias = str
else:
    Metric = Literal[(*EXTRAS, "latent_iou")]  # command lines list and check the names


@dataclass(frozen=True)
class CodecEntry:
    """A codec at one operating point or at several.

    Args:
        class_path: Dotted path of a class or function that returns a codec: `semcomp_pl.load` for trained models,
            `semcomp_pl.codecs.WebP` and its neighbours, or your own, installed or in a Python file beside the YAML.
        init_args: Its arguments.
        codec: Display name; entries of one name are points of one curve. What the codec calls itself if not given.
        point: Name of the operating point of an entry that has one. What the codec says, or else its arguments, if not
            given.
        points: Further arguments, a dictionary for each operating point.
        targets: Bits per pixel, for each of which every image is coded at the best quality whose file is no larger. The
            callable takes `quality`, from 0 to 100, and is searched over `downscale` too if it takes that.
        labels: Whose label map a codec that sends one is given: its own segmenter's, or the true one, which makes the
            row an oracle's.
    """

    class_path: str
    init_args: dict[str, Any] = field(default_factory=dict)
    codec: str | None = None
    point: str | None = None
    points: list[dict[str, Any]] = field(default_factory=list)
    targets: list[float] = field(default_factory=list)
    labels: Literal["own", "true"] = "own"
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Wandb:
    """The W&B run that the summary goes to; WANDB_MODE=offline needs no account.

    Args:
        project: No run is made if not given.
        name: Name of the run; the output directory's if not given.
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
        codecs: Each with a class_path, and init_args, codec, point, points, targets and labels where needed; the
            shipped files in configs/compare show them.
        paths: Directories with the Python files of codecs; those of the --config files need not be named.
        split: Split of the data.
        images: Number of images, the first of the split; all if not given.
        judge: Segmenter that labels originals and reconstructions; no codec may have been trained against it.
        realism_judge: Checkpoint of an adversarial model whose discriminator gives `discriminator_fm`; the model may
            not be among the codecs.
        segmenter: Another segmenter, which makes the label maps of codecs that send one and have no segmenter.
        metrics: Metrics beside PSNR, MS-SSIM and the judge's. One whose weights are missing is left out.
        targets: Bits per pixel at which codecs are compared.
        draws: Resamplings of the bootstrap.
        seed: Seed of the bootstrap.
        pictures: Number of images, evenly over the split, whose reconstructions the report shows.
        timed_images: Number of images of the serial pass that takes times and memory; 0 for no such pass.
        workers: Processes that code and measure; 0 for this one alone, which a GPU needs.
        device: cpu or cuda.
        wandb: Where to send the summary.
    """

    output: str = "comparison"
    codecs: list[CodecEntry] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
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


def sensible_references() -> list[CodecEntry]:
    """Well-known still-image formats, searched for the target rates."""
    # optimised Huffman tables make the smallest baseline JPEG
    formats = {"WebP": "WebP", "AVIF": "AVIF", "JPEG": "OptimizedJPEG", "JPEG 2000": "JPEG2000"}
    return [
        CodecEntry(f"semcomp_pl.codecs.{kind}", codec=name, targets=list(TARGETS)) for name, kind in formats.items()
    ]


def check(settings: Settings) -> None:
    """Refuse settings that no comparison can be made of.

    Raises:
        SemcompError: no codec, an entry that contradicts itself, or a number out of range.
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
            f"device={settings.device} with workers={settings.workers} found, expected workers=0: one process a GPU; "
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
    if entry.targets and entry.labels == "true":
        yield f"{entry.class_path}: targets found for an oracle, whose quality cannot be searched; use points"
