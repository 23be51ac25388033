"""A codec that runs any external program."""

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from PIL import Image

from semcomp_pl.codecs.picture import PictureCodec
from semcomp_pl.coding.pictures import PictureFormat
from semcomp_pl.errors import SemcompError

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_PICTURES = {
    ".png": PictureFormat("PNG", {"compress_level": 1}, lambda _: {}),
    ".ppm": PictureFormat("PPM", {}, lambda _: {}),
}


class CommandCodec(PictureCodec):
    """An external program that codes pictures, run once for every file.

    Two command templates describe it. No shell interprets them; quotes keep words with spaces together. Pictures are
    exchanged losslessly, as files in a temporary directory.

    Args:
        encode: Command that makes the compressed file `{output}` from the picture `{input}`, such as
            `cwebp -quiet -m 6 -q {quality} {input} -o {output}`. It may also use `{width}` and `{height}`.
        decode: Command that makes a picture from the compressed file, such as `dwebp -quiet {input} -o {output}`. It
            gets no other placeholders, as a receiver has only the file.
        quality: 0 (smallest file) to 100.
        downscale: Factor, at least 1, by which each side of the picture is reduced before coding.
        label: Display name; the name of the encoding program if not given.
        suffix: File name extension of the compressed file, for programs that need a certain one.
        picture: File format of the pictures.
        quality_range: Values of `{quality}` at quality 0 and 100, linear in between: `[63, 0]` for a quantiser, where
            lower is better. Rounded to an integer if both are integers.
        timeout: Longest run time of a command in seconds.

    Raises:
        SemcompError: a number is out of range, or a template has missing or unknown placeholders.
    """

    def __init__(
        self,
        encode: str,
        decode: str,
        quality: int = 50,
        downscale: float = 1.0,
        label: str | None = None,
        suffix: str = ".bin",
        picture: Literal[".png", ".ppm"] = ".png",
        quality_range: tuple[float, float] = (0, 100),
        timeout: float = 60,
    ) -> None:
        super().__init__(quality, downscale)
        if picture not in _PICTURES:
            raise SemcompError(f"picture {picture!r} found, expected one of {[*_PICTURES]}")
        self._encode = _words("encode", encode, {"input", "output"}, {"quality", "width", "height"})
        self._decode = _words("decode", decode, {"input", "output"})
        if "{quality}" not in encode:
            self.point = f"x{downscale:g}"
        self.label = label or Path(self._encode[0]).name
        self.commands = {"encode": encode, "decode": decode}
        self.suffix = suffix
        self.picture = picture
        self.quality_range = quality_range
        self.timeout = timeout

    def provenance(self) -> Mapping[str, Any]:
        """The two templates."""
        return self.commands

    def encode(self, picture: Image.Image) -> bytes:
        """See `PictureCodec.encode`."""
        values = {"quality": self._scaled_quality(), "width": str(picture.width), "height": str(picture.height)}
        return self._run(self._encode, _PICTURES[self.picture].write(picture, 100), self.picture, self.suffix, values)

    def decode(self, data: bytes) -> Image.Image:
        """See `PictureCodec.decode`."""
        return _PICTURES[self.picture].read(self._run(self._decode, data, self.suffix, self.picture, {}))

    def _scaled_quality(self) -> str:
        low, high = self.quality_range
        value = low + (high - low) * self.quality / 100
        return str(round(value)) if float(low).is_integer() and float(high).is_integer() else f"{value:.6g}"

    def _run(self, words: list[str], data: bytes, given: str, wanted: str, values: dict[str, str]) -> bytes:
        """The file that a command makes from a file of `data`; `given` and `wanted` are the suffixes of the two."""
        with TemporaryDirectory(prefix="semcomp-") as folder:
            source, target = Path(folder, f"input{given}"), Path(folder, f"output{wanted}")
            source.write_bytes(data)
            values = {**values, "input": str(source), "output": str(target)}
            command = [_PLACEHOLDER.sub(lambda found: values[found[1]], word) for word in words]
            said = _call(command, folder, self.timeout)
            made = target.read_bytes() if target.is_file() else b""
        if not made:
            raise SemcompError(f"{command[0]} wrote no {wanted} file and said: {said}; correct {shlex.join(words)!r}")
        return made


def _words(name: str, template: str, required: set[str], allowed: frozenset[str] | set[str] = frozenset()) -> list[str]:
    """The words of a template.

    Raises:
        SemcompError: placeholders are unknown or missing, or a quote is not closed.
    """
    found = set(_PLACEHOLDER.findall(template))
    if not required <= found <= required | allowed:
        raise SemcompError(
            f"{name} command {template!r} with placeholders {sorted(found)} found, expected {sorted(required)}"
            + (f" and, where needed, {sorted(allowed)}" if allowed else "")
        )
    try:
        return shlex.split(template)
    except ValueError as error:
        raise SemcompError(f"{name} command {template!r} found: {error}; close the quotes") from None


def _call(command: list[str], folder: str, timeout: float) -> str:
    """Run a command; returns its last line of output, without the folder's name, which differs every time.

    Raises:
        SemcompError: the command is missing, failed, or took too long.
    """
    try:
        # in its own process group, so that processes started by a script are ended with it
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise SemcompError(
            f"{command[0]} cannot be run ({error.strerror}); install it or correct the command"
        ) from None
    with process:
        try:
            output, errors = process.communicate(timeout=timeout)
        except BaseException as error:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise SemcompError(f"{command[0]} still running after {timeout:g} s; raise its timeout") from None
            raise
    lines = [line for line in (*output.splitlines(), *errors.splitlines()) if line.strip()]
    said = lines[-1].strip().replace(f"{folder}/", "") if lines else "nothing"
    if process.returncode:
        raise SemcompError(f"{command[0]} failed with status {process.returncode} and said: {said}")
    return said
