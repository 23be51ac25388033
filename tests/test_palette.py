"""Codecs can be told apart: by everybody, in print, and on every page by the same look."""

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.color import deltaE_ciede2000, rgb2lab

from semcomp_pl.palette import COLOURS, GREYS, Look, looks

FORMATS = ["WebP", "JPEG", "AVIF", "JPEG XL", "JPEG 2000"]
MODELS = [
    *("PlainGAN", "SemanticDistortionGAN", "ConditionalGAN", "SelectiveGAN", "SemanticDiscriminatorGAN"),
    *("LayeredCodec", "RateDistortion", "CoCliCo"),
]
FIFTEEN = [*MODELS, "ConditionalGAN (oracle)", *FORMATS, "WebP for the judges"]
# matrices of severity 1 in linear RGB: Machado, Oliveira and Fernandes, A Physiologically-based Model for Simulation of
# Color Vision Deficiency, IEEE TVCG 15, 2009, https://www.inf.ufrgs.br/~oliveira/pubs_files/CVD_Simulation/
SIGHT = {
    "all": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
PAGES = {"light": "#FFFFFF", "dark": "#1C1F25"}


def linear(colour: str) -> NDArray[np.float64]:
    values = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def difference(one: str, other: str, sight: str) -> float:
    """CIEDE2000 as somebody sees it; 2.3 is just noticeable, and pages have colours apart from each other."""
    seen = [np.clip(np.array(SIGHT[sight]) @ linear(colour), 0, 1) for colour in (one, other)]
    encoded = [np.where(rgb <= 0.0031308, 12.92 * rgb, 1.055 * rgb ** (1 / 2.4) - 0.055) for rgb in seen]
    return float(deltaE_ciede2000(*(rgb2lab(rgb[None, None])[0, 0] for rgb in encoded)))


def contrast(one: str, other: str) -> float:
    """Contrast as WCAG defines it, 1 to 21."""
    light, dark = sorted((float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def chosen(codecs: list[str]) -> dict[str, Look]:
    return looks({codec: codec for codec in codecs}, [codec for codec in codecs if codec.startswith(tuple(FORMATS))])


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("page", PAGES)
def test_families_and_formats_differ_in_colour_alone(page: str, sight: str) -> None:
    found = chosen([*MODELS, *FORMATS]).values()
    colours = {look.colour if page == "light" else look.dark for look in found}
    assert len(colours) == len(COLOURS) + len(GREYS)
    for one, other in combinations(sorted(colours), 2):
        assert difference(one, other, sight) > 6.5, (one, other)
    assert min(contrast(colour, PAGES[page]) for colour in colours) > 2.2


def test_fifteen_codecs_have_fifteen_markers() -> None:
    found = chosen(FIFTEEN)
    assert len({(look.marker, look.filled) for look in found.values()}) == 15
    assert found["ConditionalGAN (oracle)"].colour == found["ConditionalGAN"].colour
    assert found["ConditionalGAN (oracle)"].dash != found["ConditionalGAN"].dash
    for codec in FORMATS:
        assert len({found[codec].colour[place : place + 2] for place in (1, 3, 5)}) == 1, "no grey"


def test_a_codec_looks_the_same_on_every_page() -> None:
    whole = chosen(FIFTEEN)
    for codec in MODELS + FORMATS:
        assert chosen([codec])[codec] == whole[codec]
    pages = [chosen(["somebody's codec", *few]) for few in ([], ["WebP"], [MODELS[0], "AVIF"])]
    assert len({page["somebody's codec"] for page in pages}) == 1


def test_the_family_counts_and_not_the_name() -> None:
    found = looks({"mine": "PlainGAN", "JPEG XL": "JPEG XL", "JPEG": "JPEG"}, ["JPEG", "JPEG XL"])
    assert found["mine"].colour == chosen(["PlainGAN"])["PlainGAN"].colour
    assert found["JPEG"].marker != found["JPEG XL"].marker


def test_strangers_share_no_look_while_there_are_places() -> None:
    strangers = [f"codec {number}" for number in range(40)]
    found = chosen(strangers)
    assert len(set(found.values())) == 40
    assert len({look.colour for look in chosen([*MODELS[:4], "codec 1", "codec 2", "codec 3"]).values()}) == 7
