"""Loading of codecs, segmenters and discriminators by name or path."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn

from semcomp_pl.checkpoints.bundle import Saved, exported_class, rounded, trained_against
from semcomp_pl.checkpoints.checkpoint import load_strictly, read_saved
from semcomp_pl.checkpoints.models import SEGMENTATION, check_known, codec_model, fingerprint_of
from semcomp_pl.codecs.neural import TILE, NeuralCodec
from semcomp_pl.coding.container import MAX_PIXELS
from semcomp_pl.errors import SemcompError
from semcomp_pl.files.places import find_model, released
from semcomp_pl.nets.codec import CodecNet
from semcomp_pl.nets.discriminator import Discriminator, Features
from semcomp_pl.nets.identity import fingerprint

if TYPE_CHECKING:
    from semcomp_pl.nets.segmenter import Segmenter


class _FromNumbers(Protocol):
    @classmethod
    def of(cls, hyper_parameters: Mapping[str, Any]) -> Self: ...


Built = TypeVar("Built", bound=_FromNumbers)
_ONLY_FOR_TRAINING = ("discriminator", "auxiliary", "rate", "trained_against")
_segmenters: "WeakValueDictionary[tuple[Path, int, int], Segmenter]" = WeakValueDictionary()


def load(
    model: str | Path,
    segmenter: str | Path | None = None,
    keep: Sequence[str] | None = None,
    device: str = "cpu",
    tile: int = TILE,
    max_pixels: int = MAX_PIXELS,
    options: Mapping[str, Any] | None = None,
) -> NeuralCodec:
    """Load the codec of a trained model, with its methods `compress` and `decompress`.

    Args:
        model: Checkpoint, export or run, or its name in weights/ or runs/.
        segmenter: Segmenter, given likewise, that makes the label maps for models that send one.
        keep: Names or ids of the classes whose symbols are sent, for a SelectiveGAN; everything if not given.
        device: cpu, cuda, cuda:1, ...
        tile: Largest side in pixels that the networks process at once; larger images are tiled to bound the memory.
        max_pixels: Largest number of pixels of an image to decompress; larger ones are refused.
        options: Arguments of the model to change that do not change its files' format, such as `steps` and `sends` of a
            CoCliCo or `thumbnail_psnr` of a LayeredCodec.

    Raises:
        SemcompError: the model does not exist, is no codec, is unreadable or damaged, or its weights do not fit; it has
            no such option; a class to keep is unknown; the segmenter has other classes; or the device does not exist.
    """
    path = find_model(str(model))
    codec = codec_of(with_options(read_saved(path), options or {}, path), path, tile, max_pixels).to(device)
    if segmenter is not None:
        codec.segmenter = load_segmenter(segmenter)
    codec.keep = keep
    return codec


def with_options(saved: Saved, options: Mapping[str, Any], path: str | Path) -> Saved:
    """A model with some of its arguments changed; which ones may be, its network says.

    Raises:
        SemcompError: the model is no codec, or has no such option.
    """
    known = codec_model(saved.model, path).net.options
    if options.keys() <= set(known):
        return saved._replace(hyper_parameters={**saved.hyper_parameters, **options})
    names = f"one of {', '.join(known)}" if known else "none, as this model has no options"
    unknown = ", ".join(sorted(options.keys() - set(known)))
    raise SemcompError(f"{path}: option {unknown} of {saved.model} found, expected {names}")


def codec_of(saved: Saved, path: str | Path, tile: int = TILE, max_pixels: int = MAX_PIXELS) -> NeuralCodec:
    """The codec of a model, with weights rounded as in its export; see `load` for the arguments.

    Raises:
        SemcompError: the model is no codec of the suite, or the weights do not fit it.
    """
    net = codec_net(saved, path)
    rival = trained_against(saved)
    return codec_model(saved.model, path).codec(
        net,
        saved.model.rpartition(".")[2],
        fingerprint_of(saved),
        trained_against=[] if rival is None else [rival.hex()],
        training={} if saved.training is None else saved.training.plain(),
        tile=tile,
        max_pixels=max_pixels,
    )


def codec_net(saved: Saved, path: str | Path) -> CodecNet:
    """The plain network of a codec, frozen, with weights rounded as in its export.

    Raises:
        SemcompError: the model is no codec of the suite, or the weights do not fit it.
    """
    kind = codec_model(saved.model, path)
    net = _build(kind.net, saved, path)
    load_strictly(net, saved.model, _for_coding(rounded(saved.state)), path)
    return net.eval().requires_grad_(False)


def load_segmenter(given: str | Path) -> "Segmenter":
    """Load a frozen segmenter; a file that is in use already and has not changed is not loaded again.

    Args:
        given: Checkpoint, export or run, or its name in weights/ or runs/.

    Raises:
        SemcompError: the file does not exist or is no segmenter.
    """
    path = find_model(str(given)).resolve()
    stamp = max((file.stat() for file in (path, *path.glob("*"))), key=lambda status: status.st_mtime_ns)
    key = (path, stamp.st_mtime_ns, stamp.st_size)
    known = _segmenters.get(key)
    if known is not None:
        return known
    from semcomp_pl.nets.segmenter import Segmenter  # its library takes seconds to import

    saved = read_saved(path)
    if check_known(saved.model, path) != SEGMENTATION:
        raise SemcompError(f"{path}: a {saved.model} found, expected a segmenter")
    segmenter = _build(Segmenter, saved, path)
    load_strictly(segmenter, saved.model, _for_coding(saved.state), path)
    _segmenters[key] = segmenter.eval().requires_grad_(False)
    return segmenter


def known_segmenter(name: str) -> "Segmenter | None":
    """The released segmenter of this fingerprint, in hexadecimal; None if it is none of those in `weights/`."""
    for path in released().values():
        if exported_class(path) == SEGMENTATION:
            segmenter = load_segmenter(path)
            if segmenter.fingerprint().hex() == name:
                return segmenter
    return None


class TrainedDiscriminator(nn.Module):
    """The discriminator of a checkpoint, which judges how real reconstructions look.

    If it saw label maps in training it sees the true ones here, and so needs data with labels.

    Args:
        discriminator: Trained network.
        model: Name of the model that it was trained in.
        codec_fingerprint: Fingerprint of that model's codec.
    """

    def __init__(self, discriminator: Discriminator, model: str, codec_fingerprint: bytes) -> None:
        super().__init__()
        # as in training; and equal pixels must give equal activations, however they lie in memory
        self.discriminator = discriminator.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self.model, self.codec_fingerprint = model, codec_fingerprint
        self.num_classes = 0 if discriminator.condition == "none" else discriminator.num_classes

    def forward(self, image: Tensor, label: Tensor | None) -> Features:
        """Activations for images (B, 3, H, W), given label maps (B, H, W) if it was trained with them."""
        features: Features = self.discriminator(image, label)
        return features

    def provenance(self) -> dict[str, Any]:
        """Fingerprint of the weights and name of the model, as plain values."""
        name = fingerprint(self.model, self.discriminator.state_dict())
        return {"fingerprint": name.hex(), "model": self.model}


def load_discriminator(given: str | Path) -> TrainedDiscriminator:
    """Load the discriminator of an adversarial model's checkpoint; exports have none.

    Args:
        given: Checkpoint or run, or the name of a run.

    Raises:
        SemcompError: the file does not exist, is no adversarial model, or is an export.
    """
    path = find_model(str(given))
    saved = read_saved(path)
    condition = codec_model(saved.model, path).discriminator
    part = "discriminator."
    weights = {name.removeprefix(part): value for name, value in saved.state.items() if name.startswith(part)}
    if condition is None or not weights:
        raise SemcompError(
            f"{path}: a {saved.model} without a discriminator found, expected the checkpoint of an adversarial "
            "model (an export has none)"
        )
    known = saved.hyper_parameters
    names = [name for name in ("filters", "scales", "norm") if f"discriminator_{name}" in known]
    numbers: dict[str, Any] = {name: known[f"discriminator_{name}"] for name in names}
    network = Discriminator(**numbers, condition=condition, num_classes=known["num_classes"])
    load_strictly(network, f"the discriminator of {saved.model}", weights, path)
    return TrainedDiscriminator(network, saved.model, fingerprint_of(saved))


def _build(kind: type[Built], saved: Saved, path: str | Path) -> Built:
    """An untrained network with a model's hyper-parameters."""
    try:
        return kind.of(saved.hyper_parameters)
    except (TypeError, ValueError) as error:
        if isinstance(error, SemcompError):
            raise
        raise SemcompError(f"{path}: {error}; it is of another version of {saved.model}") from None


def _for_coding(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if name.partition(".")[0] not in _ONLY_FOR_TRAINING}
