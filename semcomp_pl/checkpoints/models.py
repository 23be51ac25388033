"""The suite's own models, by their names in checkpoints and exports.

Files can only name these models: an export from an unknown source cannot name anything else to import.
"""

import json
from typing import NamedTuple

from semcomp_pl.checkpoints.bundle import Saved, exported
from semcomp_pl.errors import SemcompError
from semcomp_pl.nets.codec import CodecNet, ConditionalNet
from semcomp_pl.nets.discriminator import Condition
from semcomp_pl.nets.identity import fingerprint
from semcomp_pl.nets.layered import LayeredNet
from semcomp_pl.nets.selective import SelectiveNet


class CodecModel(NamedTuple):
    """The plain networks of a model."""

    net: type[CodecNet]
    discriminator: Condition | None
    """What its discriminator sees besides the image; None if it is trained without one."""


SEGMENTATION = "Segmentation"
"""The only model that is not a codec."""
CODECS: dict[str, CodecModel] = {
    "RateDistortion": CodecModel(CodecNet, None),
    "PlainGAN": CodecModel(CodecNet, "none"),
    "SemanticDiscriminatorGAN": CodecModel(CodecNet, "labels"),
    "ConditionalGAN": CodecModel(ConditionalNet, "labels"),
    "SelectiveGAN": CodecModel(SelectiveNet, "boundaries"),
    "SemanticDistortionGAN": CodecModel(CodecNet, "none"),
    "LayeredCodec": CodecModel(LayeredNet, "labels"),
}


def check_known(model: str, path: object) -> str:
    """The name of a model, if the suite has a class of that name.

    Raises:
        SemcompError: it has no such class.
    """
    if model in CODECS or model == SEGMENTATION:
        return model
    names = ", ".join([*CODECS, SEGMENTATION])
    raise SemcompError(f"{path}: a model {model!r} found, expected one of {names}; upgrade semcomp_pl")


def codec_model(model: str, path: object) -> CodecModel:
    """The plain networks of the codec with this name.

    Raises:
        SemcompError: the model is unknown or no codec.
    """
    if check_known(model, path) == SEGMENTATION:
        raise SemcompError(f"{path}: a {model} found, expected a codec; give it as judge or segmenter")
    return CODECS[model]


def fingerprint_of(saved: Saved) -> bytes:
    """32 bytes that identify a codec: its class, the arguments that shape it, its exported weights and tables.

    Equal for a checkpoint and its export; computed without building a network.

    Raises:
        SemcompError: the model is no codec of the suite.
    """
    net = codec_model(saved.model, saved.model).net
    shape = net.shape_type.of(saved.hyper_parameters)
    numbers = sorted((name, getattr(shape, name)) for name in net.identity)
    return fingerprint(json.dumps([saved.model, numbers]), exported(saved.state))
