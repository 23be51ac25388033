"""SemanticDistortionGAN: the loss also compares what a frozen segmenter sees in original and reconstruction."""

from typing import Literal

import torch
from torch import Tensor

from semcomp_pl import losses
from semcomp_pl.checkpoints.loading import load_segmenter
from semcomp_pl.errors import SemcompError
from semcomp_pl.modules.gan import PlainGAN
from semcomp_pl.nets.discriminator import Features
from semcomp_pl.nets.labels import labels_of
from semcomp_pl.nets.segmenter import Segmenter
from semcomp_pl.types import Batch, CodecOutput


class SemanticDistortionGAN(PlainGAN):
    """PlainGAN + v t(x, x̂), with a distance t under a frozen segmenter S.

        x --E--> latent --Q--> symbols --> centres --G--> x̂
        x, x̂ --D--> scores
        x, x̂ --S--> class probabilities, features

    t is the divergence KL(S(x) || S(x̂)), which needs no labels; or the cross-entropy of S(x̂) against the label map;
    or the mean squared difference of the features of S.

    S is needed for fitting only. Its fingerprint is saved with the model, because S may not judge it.

    Args:
        segmenter: Segmenter S (name, run, export or checkpoint).
        semantic_weight: Weight v of the semantic distance.
        distance: Semantic distance t: `divergence`, `cross_entropy` or `features`.
        segmenter_scale: Size at which S reads images, as a fraction of the size that it was trained at: smaller images
            are enlarged to it, larger ones are read as they are. Less is faster, but S sees small things less well;
            docs/results/semantic_resolution.md has what little is known of either.
        kwargs: See `PlainGAN`.

    Raises:
        SemcompError: the scale is not in (0, 1].
    """

    trained_against: Tensor

    def __init__(
        self,
        segmenter: str | None = None,
        semantic_weight: float = 1.0,
        distance: Literal["divergence", "cross_entropy", "features"] = "divergence",
        segmenter_scale: float = 0.5,
        **kwargs: object,
    ) -> None:
        if not 0 < segmenter_scale <= 1:
            raise SemcompError(f"segmenter_scale={segmenter_scale} found, expected a number above 0 and up to 1")
        super().__init__(**kwargs)  # type: ignore[arg-type]
        self.segmenter_scale = segmenter_scale
        self.segmenter_path, self.semantic_weight, self.distance = segmenter, semantic_weight, distance
        self._segmenter: tuple[Segmenter, ...] = ()  # in a tuple, so that its weights stay out of checkpoints
        self.register_buffer("trained_against", torch.zeros(8, dtype=torch.uint8))

    def setup(self, stage: str) -> None:
        """When fitting, load the segmenter and store its fingerprint.

        Raises:
            SemcompError: no segmenter was named, or it is the judge.
        """
        if stage == "fit":
            if self.segmenter_path is None:
                raise SemcompError(
                    "SemanticDistortionGAN needs a segmenter to fit; train one with configs/model/pspnet.yaml and "
                    "pass its checkpoint as --model.segmenter"
                )
            segmenter = load_segmenter(self.segmenter_path)
            self.trained_against.copy_(torch.tensor([*segmenter.fingerprint()]))
            self._segmenter = (segmenter,)
        super().setup(stage)

    def on_fit_start(self) -> None:
        """As `ScheduledModule.on_fit_start`, and move the segmenter to the training device."""
        super().on_fit_start()
        for segmenter in self._segmenter:
            segmenter.to(self.device)

    def rival(self) -> bytes | None:
        """Fingerprint of S; None before fitting."""
        return bytes(self.trained_against.tolist()) if self.trained_against.any() else None

    def generator_terms(self, batch: Batch, out: CodecOutput, real: Features, fake: Features) -> dict[str, Tensor]:
        """PlainGAN's terms and the weighted semantic distance."""
        semantic = self.semantic_weight * self.semantic_distance(batch, out.reconstruction)
        return {**super().generator_terms(batch, out, real, fake), "semantic": semantic}

    def semantic_distance(self, batch: Batch, reconstruction: Tensor) -> Tensor:
        """Scalar distance t between the batch's images and their reconstructions (B, 3, H, W).

        Raises:
            SemcompError: the distance is the cross-entropy, and the data have no label maps.
        """
        (segmenter,), scale = self._segmenter, self.segmenter_scale
        if self.distance == "cross_entropy":
            label = labels_of(batch, type(self).__name__)
            return losses.semantic_cross_entropy(segmenter.logits(reconstruction, scale), label)
        if self.distance == "features":
            with torch.no_grad():
                stages = segmenter.stages(batch["image"], scale)
            return losses.semantic_feature_distance(segmenter.stages(reconstruction, scale), stages)
        with torch.no_grad():
            reference = segmenter.logits(batch["image"], scale)
        return losses.semantic_divergence(segmenter.logits(reconstruction, scale), reference)
