"""From a file to a model, through the list of the suite's own classes."""

from pathlib import Path

from semcomp_pl.errors import SemcompError
from semcomp_pl.modules.base import CodecModule
from semcomp_pl.checkpoints.bundle import Saved
from semcomp_pl.checkpoints.checkpoint import read_saved, rebuild
from semcomp_pl.modules.conditional import ConditionalGAN
from semcomp_pl.modules.gan import PlainGAN
from semcomp_pl.modules.layered import LayeredCodec
from semcomp_pl.modules.rate_distortion import RateDistortion
from semcomp_pl.modules.segmentation import Segmentation
from semcomp_pl.modules.selective import SelectiveGAN
from semcomp_pl.modules.semantic_discriminator import SemanticDiscriminatorGAN
from semcomp_pl.modules.semantic_distortion import SemanticDistortionGAN

Model = CodecModule | Segmentation
MODELS: tuple[type[Model], ...] = (
    RateDistortion,
    PlainGAN,
    SemanticDiscriminatorGAN,
    ConditionalGAN,
    SelectiveGAN,
    SemanticDistortionGAN,
    LayeredCodec,
    Segmentation,
)


def load(path: str | Path) -> Model:
    """A model in evaluation mode from its checkpoint or export.

    Raises:
        SemcompError: unreadable or damaged, a class that is not the suite's, or weights that do not fit it.
    """
    saved = read_saved(path)
    return rebuild(class_of(saved, path), saved, path)


def class_of(saved: Saved, path: str | Path) -> type[Model]:
    """The suite's class of this name.

    Raises:
        SemcompError: it has none.
    """
    for model in MODELS:
        if model.__name__ == saved.model:
            return model
    names = ", ".join(model.__name__ for model in MODELS)
    raise SemcompError(f"{path}: a model {saved.model!r} found, expected one of {names}; upgrade semcomp_pl")
