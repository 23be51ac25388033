"""Files of pretrained weights, found on disk and never downloaded."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import torch

from semcomp_pl.errors import SemcompError


class WeightFile(NamedTuple):
    """A file of weights in torch.hub's directory, where its library looks for it.

    It is never downloaded: machines without a network should fail at once, and every process would download it.
    """

    name: str
    url: str
    """Address to download the file from by hand."""
    sha256: str
    """First digits of its checksum, in hexadecimal."""
    folder: str = "checkpoints"
    """Folder below torch.hub's directory, which is `$TORCH_HOME/hub` or `~/.cache/torch/hub`."""

    def find(self, given: str | None = None) -> Path:
        """The path of the file: the given one, else the one in torch.hub's directory.

        Raises:
            SemcompError: the file is missing, or its checksum differs.
        """
        path = Path(torch.hub.get_dir()) / self.folder / self.name if given is None else Path(given)
        if not path.is_file():
            raise SemcompError(f"{path}: no such weights; fetch {self.url} and put the file there")
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if not found.startswith(self.sha256):
            raise SemcompError(
                f"{path}: SHA-256 {found[: len(self.sha256)]}... found, expected {self.sha256}...; the file is "
                f"damaged, fetch {self.url} again"
            )
        return path
