"""The judges of a comparison: segmenters that had no part in the codecs, and how near they are to those that had."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from semcomp_pl.checkpoints.loading import load_segmenter
from semcomp_pl.codecs.pixels import as_decoded
from semcomp_pl.errors import SemcompError
from semcomp_pl.files.places import find_model, model_name
from semcomp_pl.metrics.catalogue import by_judge
from semcomp_pl.metrics.miou import image_confusions, pixel_accuracy
from semcomp_pl.nets.segmenter import Segmenter


class Panel:
    """Segmenters that label originals and reconstructions.

    Columns of several judges are told apart by their names; a single judge's have no name.

    Args:
        given: Segmenters (name, run, export or checkpoint).
        device: Where they compute.

    Raises:
        SemcompError: a segmenter does not exist, or two have the same name or different numbers of classes.
    """

    def __init__(self, given: Sequence[str], device: str) -> None:
        self.judges: dict[str, Segmenter] = {}
        for one in given:
            name = model_name(str(find_model(one)))
            if name in self.judges:
                raise SemcompError(f"two judges called {name} found, expected different names; rename a run or export")
            self.judges[name] = load_segmenter(one).to(device)
        classes = {name: judge.num_classes for name, judge in self.judges.items()}
        if len({*classes.values()}) > 1:
            raise SemcompError(
                "judges of different numbers of classes found ("
                + ", ".join(f"{name}: {count}" for name, count in classes.items())
                + "), expected one taxonomy; name judges that were trained on the same classes"
            )
        self.num_classes = next(iter(classes.values()), 0)
        """Number of classes K; 0 without judges."""
        self._image: Tensor | None = None  # the latest image of `agreement`, and what the judges see in it
        self._seen: dict[str, Tensor] = {}

    def predict(self, image: Tensor) -> dict[str, Tensor]:
        """Each judge's label map (H, W) of an image (3, H, W) in [0, 1]."""
        seen = as_decoded(image)[None]
        return {name: judge.predict(seen)[0] for name, judge in self.judges.items()}

    def agreement(self, reconstruction: Tensor, image: Tensor) -> float:
        """Mean share of the pixels in which a judge sees the same in a reconstruction (3, H, W) as in the image."""
        if image is not self._image:
            self._image, self._seen = image, self.predict(image)
        found = self.predict(reconstruction.to(image.device))
        shares = [(found[name] == self._seen[name]).double().mean().item() for name in self.judges]
        return sum(shares) / len(shares)

    def scores(
        self, predicted: Mapping[str, Tensor], label: Tensor | None, original: Mapping[str, Tensor]
    ) -> dict[str, Any]:
        """Confusion counts and accuracy of the judges' label maps of a reconstruction, by column.

        Args:
            predicted: The judges' label maps (H, W) of the reconstruction.
            label: The true label map, for the columns without a suffix.
            original: The judges' label maps of the original, for the columns called agreement.
        """
        found: dict[str, Any] = {}
        for name, seen in predicted.items():
            judge = name if len(self.judges) > 1 else ""
            for suffix, truth in {"": label, "_agreement": original[name]}.items():
                if truth is not None:
                    counts = image_confusions(seen[None], truth[None], self.num_classes)[0]
                    found[by_judge(f"confusion{suffix}", judge)] = counts.flatten().tolist()
                    if counts.any():
                        found[by_judge(f"accuracy{suffix}", judge)] = pixel_accuracy(counts).item()
        return found

    def provenance(self) -> dict[str, Any]:
        """Each judge's provenance by its name, as plain values."""
        return {name: judge.provenance() for name, judge in self.judges.items()}


def kinship(one: Segmenter, other: Segmenter) -> str | None:
    """What two segmenters have in common beyond their data: architecture or family of encoders; None for strangers."""
    if one.architecture == other.architecture:
        return f"architecture {one.architecture}"
    return f"encoders of the family {family(one.encoder)}" if family(one.encoder) == family(other.encoder) else None


def family(encoder: str) -> str:
    """The family of an encoder of smp or timm, such as `efficientnet` for `tu-tf_efficientnet_lite2`."""
    name = re.sub(r"^(tu-)?(timm-)?(tf_)?", "", encoder)
    known = re.match(r"[a-z]+", name)
    return known.group() if known else name
