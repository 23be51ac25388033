"""The suite's own models, by their names in checkpoints and exports, and models from outside it.

Exports can only name the suite's own. A checkpoint may name a model from outside, by its dotted path, but never causes
its import: whoever wants its code to run has imported it before.
"""

import json
import sys
from pathlib import Path
from typing import NamedTuple

from semcomp_pl.checkpoints.bundle import Saved, exported
from semcomp_pl.codecs.meaning import MeaningCodec
from semcomp_pl.codecs.neural import NeuralCodec
from semcomp_pl.errors import SemcompError
from semcomp_pl.nets.coclico import CoCliCoNet
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
    codec: type[NeuralCodec] = NeuralCodec
    """What makes its files."""


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
    "CoCliCo": CodecModel(CoCliCoNet, None, MeaningCodec),
}


def name_of(kind: type) -> str:
    """The name of a model's class in files: its own for the suite's, dotted for others."""
    outside = kind.__module__.partition(".")[0] != __package__.partition(".")[0]
    return f"{kind.__module__}.{kind.__qualname__}" if outside else kind.__name__


def check_own(model: str, path: object) -> str:
    """The name of a model, if the suite has a class of that name.

    Raises:
        SemcompError: it has no such class.
    """
    if model in CODECS or model == SEGMENTATION:
        return model
    names, module = ", ".join([*CODECS, SEGMENTATION]), model.rpartition(".")[0]
    said = f"if you trust its author, have its code run with --import {module} (in Python: import {module})"
    advice = said if module and not Path(str(path)).is_dir() else "upgrade semcomp_pl"
    raise SemcompError(f"{path}: a model {model!r} found, expected one of {names}; {advice}")


def check_known(model: str, path: object) -> str:
    """The name of a model, if it is one of the suite's or one from outside whose module is imported.

    Raises:
        SemcompError: it is neither.
    """
    return model if _outside(model) else check_own(model, path)


def class_path(model: str) -> str:
    """Dotted path of a known model's class."""
    return model if "." in model else f"semcomp_pl.modules.{model}"


def _outside(model: str) -> CodecModel | None:
    """The networks of a codec from outside the suite; None if no imported module has it."""
    module, _, name = model.rpartition(".")
    net = getattr(getattr(sys.modules.get(module), name, None), "net_type", None)
    return CodecModel(net, None) if isinstance(net, type) and issubclass(net, CodecNet) else None


def codec_model(model: str, path: object) -> CodecModel:
    """The plain networks of the codec with this name.

    Raises:
        SemcompError: the model is unknown or no codec.
    """
    if check_known(model, path) == SEGMENTATION:
        raise SemcompError(f"{path}: a {model} found, expected a codec; give it as judge or segmenter")
    return _outside(model) or CODECS[model]


def fingerprint_of(saved: Saved) -> bytes:
    """32 bytes that identify a codec: its class, the arguments that shape it, its exported weights and tables.

    Equal for a checkpoint and its export; computed without building a network.

    Raises:
        SemcompError: the model is unknown or no codec.
    """
    net = codec_model(saved.model, saved.model).net
    shape = net.shape_type.of(saved.hyper_parameters)
    numbers = sorted((name, getattr(shape, name)) for name in net.identity)
    return fingerprint(json.dumps([saved.model, numbers]), exported(saved.state))
