"""The lab under the name that it had."""

from tests.conftest import lab
from tests.lab import ADVERSARIAL, CLASSES, CODECS, CONFIGS, GANS, HEIGHT, TINY, WIDTH, Lab, reconstruct, write_images

__all__ = [
    "ADVERSARIAL",
    "CLASSES",
    "CODECS",
    "CONFIGS",
    "GANS",
    "HEIGHT",
    "TINY",
    "WIDTH",
    "Lab",
    "lab",
    "reconstruct",
    "write_images",
]
