"""`semcomp compress`: images to files."""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semcomp_pl.cli.files import SUFFIX, FilesParser, Progress, load_codec
from semcomp_pl.errors import SemcompError
from semcomp_pl.files.outputs import Job, expand, plan

if TYPE_CHECKING:
    from semcomp_pl.codecs.neural import NeuralCodec

_BATCH_PIXELS = 1 << 22


def main(args: list[str]) -> int:
    """Run `semcomp compress`; returns 3 if an image could not be compressed."""
    options = _parser().parse_args(args)
    jobs = plan(expand(options.images, _is_image), options.output, SUFFIX, force=options.force)
    codec = load_codec(options)
    _set_label_source(codec, options)
    region = _region(codec, options)
    progress = Progress(len(jobs), options.quiet)
    total = pixels = 0
    with progress.bar:
        for batch, images, labels in _image_batches(jobs, options, progress):
            size = images.shape[-2] * images.shape[-1]
            for job, data in _compress(codec, batch, images, labels, region, progress):
                if progress.write(job, lambda file, data=data: file.write(data)):  # type: ignore[misc]
                    progress.done(f"{job.source} -> {job.target}  {len(data)} bytes  {8 * len(data) / size:.4f} bpp")
                    total, pixels = total + len(data), pixels + size
    if len(jobs) > 1 and pixels:
        done = f"{len(jobs) - progress.failed} of {len(jobs)} images"
        print(f"{done}, {total} bytes, {8 * total / pixels:.4f} bpp over all pixels")
    return 3 if progress.failed else 0


def _parser() -> FilesParser:
    parser = FilesParser("compress", "Compress images to .smc files; takes every image format that Pillow opens.")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image, directory or pattern")
    parser.add_argument("--segmenter", help="segmenter that makes the label maps, for models that send one")
    parser.add_argument("--labels", metavar="DIR", help="directory of index masks named as the images; ids 0..K-1, 255")
    group = parser.add_argument_group(
        "regions", "What a SelectiveGAN codes; it synthesizes the rest. By default everything is coded."
    )
    group.add_argument(
        "--keep", metavar="CLASSES", type=_classes, help="code only these classes (person,car or ids), or none"
    )
    group.add_argument("--synthesize", metavar="CLASSES", type=_classes, help="code all classes except these")
    group.add_argument(
        "--box", metavar="X,Y,W,H", type=_box, action="append", default=[], help="also code this box, in pixels"
    )
    parser.add_codec_options()
    parser.add_argument("--batch", type=int, default=8, help="images of equal size to process at once (default: 8)")
    return parser


def _classes(text: str) -> list[str]:
    return [] if text == "none" else [name.strip() for name in text.split(",")]


def _box(text: str) -> tuple[int, ...]:
    numbers = tuple(int(number) for number in text.split(","))
    if len(numbers) != 4:
        raise argparse.ArgumentTypeError(f"{text!r} found, expected x,y,width,height")
    return numbers


def _set_label_source(codec: "NeuralCodec", options: argparse.Namespace) -> None:
    """Set the segmenter; refuse a model that lacks its label maps, and label maps for a model that sends none."""
    if not codec.sends_labels:
        if options.segmenter or options.labels:
            raise SemcompError(f"{codec.name} sends no label maps; leave out --segmenter and --labels")
    elif options.segmenter:
        from semcomp_pl.checkpoints.loading import load_segmenter

        codec.segmenter = load_segmenter(options.segmenter)
    elif not options.labels:
        raise SemcompError(
            f"{codec.name} sends a label map; name a segmenter that makes it with --segmenter, or masks with --labels"
        )


def _region(codec: "NeuralCodec", options: argparse.Namespace) -> Callable[[Any, Any], tuple[Any, Any]]:
    """A function from images and label maps to label maps and regions to code; options are checked here if possible.

    Raises:
        SemcompError: the model codes whole images, or a class is unknown.
    """
    chosen = {"keep": options.keep, "synthesize": options.synthesize, "boxes": options.box}
    if chosen == {"keep": None, "synthesize": None, "boxes": []}:
        return lambda images, labels: (labels, None)
    import torch

    codec.region(torch.zeros(1, 1, 1), **{**chosen, "boxes": []})

    def region(images: Any, labels: Any) -> tuple[Any, Any]:
        seen = codec.side_label(images, labels)
        assert seen is not None  # a codec that chooses regions sends label maps
        return seen, codec.region(seen, **chosen)

    return region


def _compress(
    codec: "NeuralCodec",
    batch: Sequence[Job],
    images: Any,
    labels: Any,
    region: Callable[[Any, Any], tuple[Any, Any]],
    progress: Progress,
) -> Iterator[tuple[Job, bytes]]:
    """The files of a batch; if that fails, image by image, so that an error affects one image only."""
    try:
        yield from zip(batch, codec.compress_batch(images, *region(images, labels)), strict=True)
    except SemcompError as error:
        if len(batch) == 1:
            progress.fail(batch[0].source, error)
            return
        for i, job in enumerate(batch):
            one = slice(i, i + 1)
            yield from _compress(codec, [job], images[one], None if labels is None else labels[one], region, progress)


def _image_batches(
    jobs: Sequence[Job], options: argparse.Namespace, progress: Progress
) -> Iterator[tuple[Any, Any, Any]]:
    """Batches of consecutive jobs with images of equal size, their images (B, 3, H, W) and label maps or None."""
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
            progress.fail(job.source, error)
            continue
        full = len(waiting) >= options.batch or len(waiting) * image[0].numel() >= _BATCH_PIXELS
        if waiting and (full or waiting[0][1].shape != image.shape):
            yield from flush()
        waiting.append((job, image, label))
    yield from flush()


def _open(path: Path, labels: str | None) -> tuple[Any, Any]:
    """An image (3, H, W) in [0, 1] and its index mask (H, W); None if no directory of masks was named."""
    import warnings

    import numpy as np
    import torch

    from semcomp_pl.files.images import read_image, read_index_map

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", UserWarning)  # our own, and Pillow's about metadata
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


def _is_image(path: Path) -> bool:
    from semcomp_pl.files.images import is_image

    return is_image(path)
