"""`semcomp compress`, `decompress` and `inspect`: images to files and back. Torch is imported once there is work."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from semcomp_pl.coding.container import MAX_PIXELS, Container, parse
from semcomp_pl.errors import FileError, SemcompError
from semcomp_pl.files.outputs import Job, expand, plan
from semcomp_pl.cli.regions import region_of, region_options

if TYPE_CHECKING:
    from semcomp_pl.modules.base import CodecModule
    from semcomp_pl.codecs.neural import TrainedCodec

SUFFIX = ".smc"
_BATCH_PIXELS = 1 << 22


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SemcompError(f"{message}; {self.prog} --help shows the options")


class _Report:
    """Progress on a terminal, a line a file, and what went wrong without stopping the rest."""

    def __init__(self, total: int, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.failed, self._quiet = 0, quiet
        self._console = Console(stderr=True)
        columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
        self.progress = Progress(TextColumn(""), *columns, console=self._console, transient=True)
        self.progress.disable = not self._console.is_terminal or total < 2
        self._task = self.progress.add_task("files", total=total)

    def done(self, line: str) -> None:
        self.progress.advance(self._task)
        if not self._quiet:
            print(line, flush=True)

    def fail(self, source: Path, error: SemcompError) -> None:
        """Say what was wrong with a file."""
        self.failed += 1
        self.progress.advance(self._task)
        text = str(error)
        print(f"error: {text if str(source) in text else f'{source}: {text}'}", file=sys.stderr, flush=True)


def compress(args: list[str]) -> int:
    """Run `semcomp compress`; 3 where an image could not be compressed."""
    parser = _parser("compress", "Images to .smc files. Any image that Pillow opens; directories and patterns too.")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image, directory or pattern")
    parser.add_argument("--segmenter", help="checkpoint that makes the label maps of models that send one")
    parser.add_argument("--labels", metavar="DIR", help="or their index masks, by the images' names, ids 0..K-1 or 255")
    region_options(parser)
    _codec_options(parser)
    parser.add_argument("--batch", type=int, default=8, help="images of one size that go through together (default: 8)")
    options = parser.parse_args(args)
    jobs = plan(expand(options.images, _is_image), options.output, SUFFIX, force=options.force)
    model = _load(options)
    _label_source(model, options)
    region = region_of(model, options)
    codec = _codec(model, options)
    report = _Report(len(jobs), options.quiet)
    total = pixels = 0
    with report.progress:
        for batch, images, labels in _image_batches(jobs, options, report):
            try:
                files = codec.compress_batch(images, *region(images, labels))
            except SemcompError as error:
                for job in batch:
                    report.fail(job.source, error)
                continue
            for job, data in zip(batch, files, strict=True):
                size = images.shape[-2] * images.shape[-1]
                if _write(job, lambda file, data=data: file.write(data), report):  # type: ignore[misc]
                    report.done(f"{job.source} -> {job.target}  {len(data)} bytes  {8 * len(data) / size:.4f} bpp")
                    total, pixels = total + len(data), pixels + size
    if len(jobs) > 1 and pixels:
        done = f"{len(jobs) - report.failed} of {len(jobs)} images"
        print(f"{done}, {total} bytes, {8 * total / pixels:.4f} bpp over all pixels")
    return 3 if report.failed else 0


def decompress(args: list[str]) -> int:
    """Run `semcomp decompress`; 3 where a file could not be decompressed."""
    parser = _parser("decompress", ".smc files to PNG images; directories and patterns too.")
    parser.add_argument("files", nargs="+", metavar="FILE", help="file, directory or pattern")
    parser.add_argument("--max-pixels", type=int, default=MAX_PIXELS, help="larger images are refused (default: 2^26)")
    _codec_options(parser)
    options = parser.parse_args(args)
    jobs = plan(expand(options.files, _is_compressed), options.output, ".png", force=options.force)
    codec = _codec(_load(options), options)
    report = _Report(len(jobs), options.quiet)
    from torchvision.transforms.v2.functional import to_pil_image

    with report.progress:
        for job in jobs:
            try:
                image = to_pil_image((codec.decompress(_read(job.source)) * 255).round().byte())
            except SemcompError as error:
                report.fail(job.source, error)
                continue
            if _write(job, lambda file, image=image: image.save(file, "PNG"), report):  # type: ignore[misc]
                report.done(f"{job.source} -> {job.target}  {image.width}x{image.height}")
    return 3 if report.failed else 0


def inspect(args: list[str]) -> int:
    """Run `semcomp inspect`; 3 where a file is not one of the suite's."""
    parser = _parser("inspect", "What .smc files are made of; needs no model, and so vouches for their structure only.")
    parser.add_argument("files", nargs="+", metavar="FILE", help="file, directory or pattern")
    parser.add_argument("--json", action="store_true", help="one JSON object a file")
    options = parser.parse_args(args)
    failed = False
    for path in expand(options.files, _is_compressed):
        try:
            data = _read(path)
            found = _describe(path, parse(data), len(data))
        except SemcompError as error:
            failed = True
            print(f"error: {path}: {error}", file=sys.stderr)
            continue
        print(json.dumps(found) if options.json else _text(found))
    if not options.json:
        print("Structure only: the check covers decoded symbols too, and only the model can decode them.")
    return 3 if failed else 0


def _describe(path: Path, container: Container, size: int) -> dict[str, Any]:
    pixels = container.height * container.width
    parts = {"header": container.overhead}
    parts |= {section.kind.name.lower(): len(section.data) for section in container.sections}
    coders = {section.kind.name.lower(): section.coder for section in container.sections}
    return {
        "file": str(path),
        "width": container.width,
        "height": container.height,
        "model": container.model.hex(),
        "bytes": size,
        "bpp": 8 * size / pixels,
        "parts": {
            name: {"bytes": n, "bpp": 8 * n / pixels, **({"coder": coders[name]} if name in coders else {})}
            for name, n in parts.items()
        },
    }


def _text(found: dict[str, Any]) -> str:
    pictures = ("", "webp", "jpeg", "jpeg 2000", "avif", "jpeg xl")
    names = {
        "latent": ("uniform", "static", "context"),
        "labels": ("uniform", "mixed"),
        "heatmap": ("uniform", "adaptive", "classes"),
        "thumbnail": ("uniform", "static", *pictures),
        "residual": ("", "", *pictures),
    }
    lines = [f"{found['file']}: {found['width']}x{found['height']}, model {found['model']}"]
    for name, part in found["parts"].items():
        known = names.get(name, ())
        coder = part.get("coder")
        how = "" if coder is None else known[coder] if coder < len(known) else f"coder {coder}"
        lines.append(f"  {name:10} {part['bytes']:10} bytes  {part['bpp']:.4f} bpp  {how}".rstrip())
    lines.append(f"  {'file':10} {found['bytes']:10} bytes  {found['bpp']:.4f} bpp")
    return "\n".join(lines)


def _parser(command: str, description: str) -> argparse.ArgumentParser:
    return _Parser(f"semcomp {command}", description=description, allow_abbrev=False)


def _codec_options(parser: argparse.ArgumentParser) -> None:
    from semcomp_pl.coding.container import MAX_SIDE

    parser.add_argument(
        "--model", required=True, help="checkpoint, export, run, or the name of one in weights/ or runs/"
    )
    parser.add_argument("--output", "-o", help="file, or directory/ (default: beside the input)")
    parser.add_argument("--force", action="store_true", help="overwrite")
    parser.add_argument("--quiet", action="store_true", help="say nothing of files that went well")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ... (default: cpu)")
    parser.add_argument(
        "--tile", type=int, default=2048, help=f"longest side, in pixels, that is computed at once (up to {MAX_SIDE})"
    )


def _load(options: argparse.Namespace) -> "CodecModule":
    """The model that the options name."""
    from semcomp_pl.files.places import find_model

    path = find_model(options.model)
    import torch

    from semcomp_pl.modules.base import CodecModule
    from semcomp_pl.checkpoints.loading import load

    model = load(path)
    if not isinstance(model, CodecModule):
        raise SemcompError(f"{path}: a {type(model).__name__} found, expected a codec")
    try:
        model.to(torch.device(options.device))
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise SemcompError(f"--device {options.device}: {reason}; --device cpu works everywhere") from None
    return model


def _codec(model: "CodecModule", options: argparse.Namespace) -> "TrainedCodec":
    return model.make_codec(options.tile, getattr(options, "max_pixels", MAX_PIXELS))


def _label_source(model: "CodecModule", options: argparse.Namespace) -> None:
    """Check that the model gets the label maps it needs, and only then."""
    from semcomp_pl.modules.conditional import ConditionalGAN

    if not isinstance(model, ConditionalGAN):
        if options.segmenter or options.labels:
            raise SemcompError(f"{type(model).__name__} sends no label maps; leave out --segmenter and --labels")
    elif options.segmenter:
        from semcomp_pl.files.places import find_model

        model.use_segmenter(str(find_model(options.segmenter)))
    elif not options.labels:
        raise SemcompError(
            f"{type(model).__name__} sends a label map; name a checkpoint that makes it with --segmenter, or masks "
            "with --labels"
        )


def _image_batches(jobs: Sequence[Job], options: argparse.Namespace, report: _Report) -> Iterator[tuple[Any, Any, Any]]:
    """Jobs that follow each other and agree in size, their images (B, 3, H, W) and label maps or None."""
    import torch

    waiting: list[tuple[Job, Any, Any]] = []

    def flush() -> Iterator[tuple[Any, Any, Any]]:
        if waiting:
            batch, images, labels = zip(*waiting, strict=True)
            yield batch, torch.stack(images), None if labels[0] is None else torch.stack(labels)
            waiting.clear()

    for job in jobs:
        try:
            image, label = _open(job.source, options.labels)
        except SemcompError as error:
            report.fail(job.source, error)
            continue
        full = len(waiting) >= options.batch or len(waiting) * image[0].numel() >= _BATCH_PIXELS
        if waiting and (full or waiting[0][1].shape != image.shape):
            yield from flush()
        waiting.append((job, image, label))
    yield from flush()


def _open(path: Path, labels: str | None) -> tuple[Any, Any]:
    """An image (3, H, W) in [0, 1] and its index mask (H, W), where a directory of masks was named."""
    import warnings

    import numpy as np
    import torch

    from semcomp_pl.files.images import read_image, read_index_map

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        pixels = np.array(read_image(path))
    for warning in said:
        print(f"note: {warning.message}", file=sys.stderr)
    image = torch.from_numpy(pixels).permute(2, 0, 1) / 255
    if labels is None:
        return image, None
    mask = Path(labels) / f"{path.stem}.png"
    label = torch.from_numpy(read_index_map(mask))
    if label.shape != image.shape[1:]:
        found = f"{label.shape[1]}x{label.shape[0]}"
        raise SemcompError(f"{mask}: a mask of {found} found, expected {image.shape[2]}x{image.shape[1]} as {path}")
    return image, label


def _write(job: Job, write: Callable[[Any], object], report: _Report) -> bool:
    from semcomp_pl.files.atomic import write_file

    try:
        write_file(job.target, write)
    except SemcompError as error:
        report.fail(job.source, error)
        return False
    return True


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileError(f"{path}: cannot read it ({error.strerror}); check the path") from None


def _is_image(path: Path) -> bool:
    from PIL import Image

    return path.suffix.lower() in Image.registered_extensions()


def _is_compressed(path: Path) -> bool:
    return path.suffix == SUFFIX
