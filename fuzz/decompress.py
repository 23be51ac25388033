"""Coverage-guided fuzzing of decompression: any bytes may raise FileError, and nothing else may happen.

    pip install atheris
    python fuzz/decompress.py [CORPUS] [libFuzzer's options, such as -max_total_time=60]

The corpus that it starts from is `tests/golden/v1/files`, by every coder, whose tiny models it decodes with; CORPUS, a
directory, keeps what it finds. Each input is tried as it is, and with the model and the length that a reader expects,
to get past those. `tests/test_golden.py` edits the same files under hypothesis.
"""

import sys
from pathlib import Path

import atheris

import semcomp_pl.coding.mixing  # compiled by numba, which cannot compile what atheris adds

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "v1"

with atheris.instrument_imports(include=["semcomp_pl"]):
    import semcomp_pl.coding.pictures
    from semcomp_pl.coding.container import MAGIC
    from semcomp_pl.errors import FileError

    # here, because what they need is imported when they are loaded
    CODECS = [semcomp_pl.load(file.parent, max_pixels=1 << 20) for file in sorted(GOLDEN.glob("*/manifest.json"))]


def decompress(data: bytes) -> None:
    """Decode bytes as a file of each model."""
    for codec in CODECS:
        fitted = data
        if data.startswith(MAGIC) and len(data) >= 16:
            fitted = data[:3] + codec.fingerprint[:3] + data[6:10] + (len(data) & 0xFFFF).to_bytes(2, "big") + data[12:]
        for candidate in (data, fitted):
            try:
                image = codec.decompress(candidate)
            except FileError:
                continue
            assert image.shape[0] == 3


if __name__ == "__main__":
    given = [arg for arg in sys.argv[1:] if not arg.startswith("-")]
    options = [arg for arg in sys.argv[1:] if arg.startswith("-")]
    atheris.Setup([sys.argv[0], *options, *given, str(GOLDEN / "files")], decompress)
    atheris.Fuzz()
