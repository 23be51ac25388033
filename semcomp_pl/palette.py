"""How codecs look, the same on every page: a hue per family, greys for formats, marker and dash for variants.

Any two of the hues and greys differ for readers who see no red, no green or no blue, and every codec of a comparison
has a marker of its own, so that black and white will do.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from zlib import crc32

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#332288", "#5D2E00", "#C8102E")
"""Hues, chosen for the largest smallest difference (CIEDE2000) under simulated dichromacy; the first five are those of
Okabe and Ito. Source: https://jfly.uni-koeln.de/color"""
GREYS = ("#404040", "#707070")
_ON_DARK = {"#332288": "#9188BE", "#5D2E00": "#967759", "#404040": "#D0D0D0", "#707070": "#9A9A9A"}
# one place a hue and a solid: those that are compared most lie furthest apart
_FAMILIES = (
    *("PlainGAN", "SemanticDistortionGAN", "ConditionalGAN", "SelectiveGAN"),
    *("SemanticDiscriminatorGAN", "LayeredCodec", "RateDistortion", "CoCliCo"),
)
_FORMATS = ("WebP", "JPEG", "AVIF", "JPEG XL", "JPEG 2000")
# SVG paths in a square from -1 to 1
_SOLIDS = (
    "M.9,0A.9,.9,0,1,1,-.9,0A.9,.9,0,1,1,.9,0Z",  # circle
    "M-.8,-.8H.8V.8H-.8Z",  # square
    "M0,-1L1,.8H-1Z",  # triangle
    "M0,-1.1L1.1,0L0,1.1L-1.1,0Z",  # diamond
    "M0,1L1,-.8H-1Z",  # triangle on its tip
    "M0,-1.1L.3,-.35L1.1,-.35L.45,.12L.7,.95L0,.45L-.7,.95L-.45,.12L-1.1,-.35L-.3,-.35Z",  # star
    "M-.35,-1H.35V-.35H1V.35H.35V1H-.35V.35H-1V-.35H-.35Z",  # cross
    "M-1,-.45L-.45,-1L0,-.5L.45,-1L1,-.45L.5,0L1,.45L.45,1L0,.5L-.45,1L-1,.45L-.5,0Z",  # saltire
)
_STROKES = (
    "M-.9,-.9L.9,.9M-.9,.9L.9,-.9",  # x
    "M-1,0H1M0,-1V1",  # +
    "M0,0V1.1M0,0L-1,-.7M0,0L1,-.7",  # Y
    "M-.95,-.55L.95,.55M-.95,.55L.95,-.55M0,-1.1V1.1",  # asterisk
    "M0,0V-1.1M0,0L-1,.7M0,0L1,.7",  # Y upside down
    "M-1,-.6L0,.7L1,-.6",  # v
    "M-1,.6L0,-.7L1,.6",  # v upside down
)
_DASHES = ((1, 0), (6, 3), (2, 2), (8, 2, 2, 2))


class Look(NamedTuple):
    """What a codec's curve looks like."""

    colour: str
    """`#RRGGBB`, on a light page."""
    dark: str
    """The same on a dark page."""
    marker: str
    """SVG path in a square from -1 to 1."""
    filled: bool
    dash: tuple[int, ...]
    """Lengths of strokes and gaps, in pixels."""


def looks(families: Mapping[str, str], formats: Iterable[str]) -> dict[str, Look]:
    """The look of each codec.

    A codec named like its family has the family's own marker and a full line, its variants have other ones. Families
    that are not listed here take a place by their name, the next one where another codec has it.

    Args:
        families: Name of its family by name of the codec; it may be any text that begins with the family's name.
        formats: Those of the codecs that are no models.
    """
    grey = set(formats)
    models = {codec: family for codec, family in families.items() if codec not in grey}
    found = {}
    for codec, (place, variant) in _places(models, _FAMILIES, len(COLOURS)).items():
        marker = _SOLIDS[(place + 3 * (variant // 2)) % len(_SOLIDS)]
        hue, dash = COLOURS[place], _DASHES[variant % len(_DASHES)]
        found[codec] = Look(hue, _ON_DARK.get(hue, hue), marker, variant % 2 == 0, dash)
    for codec, (place, variant) in _places({one: families[one] for one in grey}, _FORMATS, len(_STROKES)).items():
        # five places on lie the strokes that no known format has
        marker, dash = _STROKES[(place + 5 * variant) % len(_STROKES)], _DASHES[variant % len(_DASHES)]
        shade = GREYS[place % len(GREYS)]
        found[codec] = Look(shade, _ON_DARK[shade], marker, False, dash)
    return {codec: found[codec] for codec in families}


def _places(families: Mapping[str, str], known: Sequence[str], count: int) -> dict[str, tuple[int, int]]:
    """Place of its family, 0 to `count` - 1, and number of the variant, for each codec."""
    named = {codec: _family(text, known) for codec, text in families.items()}
    taken = {family: known.index(family) for family in named.values() if family in known}
    for family in sorted(set(named.values()) - taken.keys()):
        start = crc32(family.encode())
        free = (place % count for place in range(start, start + count) if place % count not in taken.values())
        taken[family] = next(free, start % count)
    found: dict[str, tuple[int, int]] = {}
    for codec in sorted(named, key=lambda codec: (codec != named[codec], codec)):
        place = taken[named[codec]]
        found[codec] = (place, sum(one == place for one, _ in found.values()))
    return found


def _family(text: str, known: Sequence[str]) -> str:
    """The longest known family that a text begins with, else the text itself."""
    return max((one for one in known if text.startswith(one)), key=len, default=text)
