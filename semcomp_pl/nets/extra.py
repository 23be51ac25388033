"""The parts of diffusers, which is an extra."""

import logging
from typing import Any

from semcomp_pl.errors import SemcompError


def diffusers_part(name: str) -> Any:
    """A class of diffusers, which takes a second to import.

    Raises:
        SemcompError: diffusers is not installed, or something that this class needs is not.
    """
    # which diffusers imports where it is installed, and which then warns that kernels of its own are not
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    try:
        import diffusers

        return getattr(diffusers, name)
    except (ImportError, RuntimeError):  # the latter if it fails to import a part
        raise SemcompError("diffusers or transformers is not installed; pip install semcomp_pl[coclico]") from None
