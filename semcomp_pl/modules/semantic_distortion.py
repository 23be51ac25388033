"""SemanticDistortionGAN: the distance also asks a frozen segmenter to see the same scene."""

import torch
from torch import Tensor

from semcomp_pl.errors import SemcompError
from semcomp_pl.losses import semantic_divergence
from semcomp_pl.modules.gan import PlainGAN
from semcomp_pl.modules.segmentation import Segmentation
from semcomp_pl.types import Batch, CodecOutput


class SemanticDistortionGAN(PlainGAN):
    """PlainGAN + v KL(S(x) || S(x̂)), S a frozen segmenter.

        x --E--> latent --Q--> symbols --> centres --G--> x̂
        x, x̂ --D--> scores
        x, x̂ --S--> class probabilities

    S is needed for fitting only, and its fingerprint stays with the model: it may not judge it.

    Args:
        segmenter: Checkpoint of S.
        semantic_weight: v.
        kwargs: As for `PlainGAN`.
    """

    trained_against: Tensor

    def __init__(self, segmenter: str | None = None, semantic_weight: float = 1.0, **kwargs: object) -> None:
        super().__init__(**kwargs)  # type: ignore[arg-type]
        self.segmenter_path, self.semantic_weight = segmenter, semantic_weight
        self._segmenter: tuple[Segmentation, ...] = ()  # a tuple is not registered: no weights in the checkpoint
        self.register_buffer("trained_against", torch.zeros(8, dtype=torch.uint8))

    def setup(self, stage: str) -> None:
        """Load the segmenter and keep its fingerprint, for fitting only.

        Raises:
            SemcompError: no segmenter was named, or it is the judge.
        """
        if stage == "fit":
            if self.segmenter_path is None:
                raise SemcompError(
                    "SemanticDistortionGAN needs a segmenter to fit; train one with configs/model/pspnet.yaml and "
                    "pass its checkpoint as --model.segmenter"
                )
            segmenter = Segmentation.from_file(self.segmenter_path)
            self.trained_against.copy_(torch.tensor([*segmenter.fingerprint()]))
            self._segmenter = (segmenter,)
        super().setup(stage)

    def rivals(self) -> list[bytes]:
        """S itself."""
        return [bytes(self.trained_against.tolist())]

    def generator_terms(self, batch: Batch, out: CodecOutput) -> dict[str, Tensor]:
        """PlainGAN's terms and the semantic divergence, weighted."""
        (segmenter,) = self._segmenter
        segmenter.to(self.device)
        with torch.no_grad():
            reference = segmenter.read(batch["image"])
        divergence = semantic_divergence(segmenter.read(out.reconstruction), reference)
        return {**super().generator_terms(batch, out), "semantic": self.semantic_weight * divergence}
