"""A trained discriminator, to judge how real reconstructions look."""

import hashlib
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from semcomp_pl.errors import SemcompError
from semcomp_pl.nets.discriminator import Features
from semcomp_pl.types import Batch

if TYPE_CHECKING:
    from semcomp_pl.modules.adversarial import AdversarialCodec


class TrainedDiscriminator(nn.Module):
    """The discriminator of a checkpoint, as `semcomp_pl.metrics.DiscriminatorFM` asks it.

    One that saw label maps in training sees the true ones here too, so it needs data with labels.

    Args:
        model: The adversarial model that it was trained in.
    """

    def __init__(self, model: "AdversarialCodec") -> None:
        super().__init__()
        self.model = model.requires_grad_(False)

    @classmethod
    def from_file(cls, path: str) -> "TrainedDiscriminator":
        """From a checkpoint; exports have no discriminator.

        Raises:
            SemcompError: unreadable, not an adversarial model, or an export.
        """
        from semcomp_pl.modules.adversarial import AdversarialCodec
        from semcomp_pl.checkpoints.checkpoint import read_saved, rebuild
        from semcomp_pl.checkpoints.loading import class_of

        saved = read_saved(path)
        kind = class_of(saved, path)
        if not issubclass(kind, AdversarialCodec) or not any(name.startswith("discriminator.") for name in saved.state):
            raise SemcompError(
                f"{path}: a {saved.model} without a discriminator found, expected the checkpoint of an adversarial "
                "model (an export has none)"
            )
        return cls(rebuild(kind, saved, path))

    def forward(self, image: Tensor, label: Tensor | None) -> Features:
        """Activations for images (B, 3, H, W), with label maps (B, H, W) where it was trained with any."""
        batch: Batch = {"image": image} if label is None else {"image": image, "label": label}
        return self.model.judge_realism(image, batch)

    def provenance(self) -> dict[str, Any]:
        """Fingerprint of the weights and name of the model; plain values."""
        digest = hashlib.sha256()
        for value in self.model.discriminator.state_dict().values():
            digest.update(value.detach().cpu().numpy().tobytes())
        return {"fingerprint": digest.hexdigest()[:16], "model": type(self.model).__name__}
