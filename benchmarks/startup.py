"""Times of `semcomp` commands in fresh processes, compared with `import torch` alone.

    python benchmarks/startup.py

Compressing and decompressing a photo of 768x512 pixels should take at most one second more than importing torch,
`--help` and `inspect` less than half a second. Runs alternate, so that a busy moment affects all commands.
"""

import argparse
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from semcomp_pl import __version__


def photo(path: Path) -> Path:
    """A smooth picture with some texture, 768x512."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (16, 24, 3), dtype=np.uint8)).resize(
        (768, 512), Image.Resampling.BICUBIC
    )
    pixels = np.asarray(coarse) + rng.normal(0, 4, (512, 768, 3))
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    return path


def seconds(command: list[str]) -> float:
    """Wall time of a process in seconds."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Print machine, versions, and medians over the runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7, help="runs of each command, after one that fills the file cache")
    parser.add_argument("--model", default="rate_distortion", help="model to code with (default: rate_distortion)")
    options = parser.parse_args()
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, semcomp_pl {__version__}"
    print(f"{platform.platform()}, {platform.machine()}, {versions}")
    with tempfile.TemporaryDirectory() as directory:
        image = photo(Path(directory) / "photo.png")
        file = image.with_suffix(".smc")
        semcomp, model = ["-m", "semcomp_pl"], ["--model", options.model, "--force"]
        commands = {
            "import torch": ["-c", "import torch"],
            "semcomp compress": [*semcomp, "compress", str(image), *model],
            "semcomp decompress": [*semcomp, "decompress", str(file), *model, "-o", f"{directory}/out.png"],
            "semcomp inspect": [*semcomp, "inspect", str(file)],
            "semcomp --help": [*semcomp, "--help"],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for run in range(options.runs + 1):
            for name, command in commands.items():
                taken = seconds(command)
                if run:
                    times[name].append(taken)
    base = statistics.median(times["import torch"])
    for name, taken_all in times.items():
        middle = statistics.median(taken_all)
        beside = "" if name == "import torch" else f", {middle - base:+.2f} s to import torch"
        print(f"{name:20} median {middle:.2f} s, {min(taken_all):.2f} to {max(taken_all):.2f} s{beside}")


if __name__ == "__main__":
    main()
