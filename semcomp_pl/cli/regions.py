"""Which regions of an image `semcomp compress` codes, where the model can leave some out."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from semcomp_pl.errors import SemcompError

if TYPE_CHECKING:
    from semcomp_pl.modules.base import CodecModule


def region_options(parser: argparse.ArgumentParser) -> None:
    """Add --keep, --synthesize and --box."""
    group = parser.add_argument_group(
        "regions", "What a SelectiveGAN codes; it makes up the rest. Everything, if none."
    )
    group.add_argument("--keep", metavar="CLASSES", type=_classes, help="of these: person,car or ids, or none")
    group.add_argument("--synthesize", metavar="CLASSES", type=_classes, help="of all classes but these")
    group.add_argument(
        "--box", metavar="X,Y,W,H", type=_box, action="append", default=[], help="and in boxes, in pixels"
    )


def _classes(text: str) -> list[str]:
    return [] if text == "none" else [name.strip() for name in text.split(",")]


def _box(text: str) -> tuple[int, ...]:
    numbers = tuple(int(number) for number in text.split(","))
    if len(numbers) != 4:
        raise argparse.ArgumentTypeError(f"{text!r} found, expected x,y,width,height")
    return numbers


def region_of(model: "CodecModule", options: argparse.Namespace) -> Callable[[Any, Any], tuple[Any, Any]]:
    """From images and label maps to label maps and the regions to code, checked as far as they can be now.

    Raises:
        SemcompError: a model that codes whole images, or an unknown class.
    """
    chosen = {"keep": options.keep, "synthesize": options.synthesize, "boxes": options.box}
    if chosen == {"keep": None, "synthesize": None, "boxes": []}:
        return lambda images, labels: (labels, None)
    import torch

    from semcomp_pl.modules.selective import SelectiveGAN

    if not isinstance(model, SelectiveGAN):
        raise SemcompError(f"{type(model).__name__} codes whole images; leave out --keep, --synthesize and --box")
    model.region(torch.zeros(1, 1, 1), **{**chosen, "boxes": []})

    def region(images: Any, labels: Any) -> tuple[Any, Any]:
        seen = model.segment(images.to(model.device)) if labels is None else labels.long()
        return seen, model.region(seen, **chosen)

    return region
