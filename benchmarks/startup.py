"""Times of `semcomp` commands in fresh processes, compared with `import torch` alone.

    python benchmarks/startup.py

Compressing and decompressing a photo of 768x512 pixels should take at most one second more than importing torch,
`--help` and `inspect` less than half a second, `fit --help` less than 5 s, and `fit` should reach its first step within
6 s if its data are cached already. Runs alternate, so that a busy moment affects all commands.
"""

import argparse
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import Callback
from PIL import Image

from semcomp_pl import __version__

START, END = "fit, start of step 1", "fit, end of step 1"


class FirstStep(Callback):
    """Prints the time before and after each training step; `fit` is told to use it."""

    def on_train_batch_start(self, *_: Any) -> None:
        """Print the time before a step."""
        print(f"\n{START}: {time.time()}")

    def on_train_batch_end(self, *_: Any) -> None:
        """Print the time after a step."""
        print(f"\n{END}: {time.time()}")


def photo(path: Path) -> Path:
    """A smooth picture with some texture, 768x512."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (16, 24, 3), dtype=np.uint8)).resize(
        (768, 512), Image.Resampling.BICUBIC
    )
    pixels = np.asarray(coarse) + rng.normal(0, 4, (512, 768, 3))
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    return path


def fit(directory: str) -> list[str]:
    """Arguments that train PlainGAN by one step, on scenes that the first such process draws and caches."""
    configs = [f"--config=configs/{name}.yaml" for name in ("trainer/cpu", "data/streets", "model/plain_gan")]
    data = [f"--data.source.root={directory}/streets", f"--data.cache_dir={directory}/cache"]
    trainer = ["--trainer.callbacks+=startup.FirstStep", "--trainer.max_steps=1", "--trainer.limit_val_batches=2"]
    return ["fit", *configs, *data, *trainer, "--entropy_steps=0", f"--runs={directory}/runs"]


def seconds(name: str, command: list[str]) -> dict[str, float]:
    """Seconds that a process takes as a whole, by the name of its command, and until each moment that it prints."""
    places = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))
    start = time.time()
    done = subprocess.run(
        [sys.executable, *command],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": places},
    )
    moments = re.findall(rf"^({START}|{END}): ([\d.]+)$", done.stdout, re.MULTILINE)
    return {name: time.time() - start} | {moment: float(at) - start for moment, at in moments}


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
            "import lightning": ["-c", "import lightning"],
            "semcomp fit --help": [*semcomp, "fit", "--help"],
            "semcomp fit": [*semcomp, *fit(directory)],
        }
        times: dict[str, list[float]] = {}
        for run in range(options.runs + 1):
            for name, command in commands.items():
                for moment, taken in seconds(name, command).items():
                    times.setdefault(moment, [])
                    if run:
                        times[moment].append(taken)
    base = statistics.median(times["import torch"])
    for name, taken_all in times.items():
        middle = statistics.median(taken_all)
        beside = "" if name == "import torch" else f", {middle - base:+.2f} s to import torch"
        print(f"{name:20} median {middle:.2f} s, {min(taken_all):.2f} to {max(taken_all):.2f} s{beside}")


if __name__ == "__main__":
    main()
