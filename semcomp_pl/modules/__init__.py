"""The models as LightningModules: one model and its equation per file."""

from semcomp_pl.modules.coclico import CoCliCo
from semcomp_pl.modules.conditional import ConditionalGAN
from semcomp_pl.modules.gan import PlainGAN
from semcomp_pl.modules.layered import LayeredCodec
from semcomp_pl.modules.rate_distortion import RateDistortion
from semcomp_pl.modules.segmentation import Segmentation
from semcomp_pl.modules.selective import SelectiveGAN
from semcomp_pl.modules.semantic_discriminator import SemanticDiscriminatorGAN
from semcomp_pl.modules.semantic_distortion import SemanticDistortionGAN

__all__ = [
    "CoCliCo",
    "ConditionalGAN",
    "LayeredCodec",
    "PlainGAN",
    "RateDistortion",
    "Segmentation",
    "SelectiveGAN",
    "SemanticDiscriminatorGAN",
    "SemanticDistortionGAN",
]
