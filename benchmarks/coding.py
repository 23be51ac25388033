r"""Times of all stages of compressing and decompressing an image, compared with CompressAI's mbt2018-mean.

    python benchmarks/coding.py --models weights/rate_distortion \\
        --compressai /path/to/its/environment/bin/python

CompressAI needs numpy < 2, so it has its own environment (pip install compressai). Its weights are not available
everywhere, so it runs with random ones: its times are meaningful, its file sizes are not. All codecs get the same image
files and number of threads, one after the other. The row "untrained" is an untrained RateDistortion with d = 3, C = 8.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import semcomp_pl
from semcomp_pl.codecs.neural import NeuralCodec
from semcomp_pl.data import ImageDataModule, StreetScenes
from semcomp_pl.nets.codec import CodecNet
from semcomp_pl.training.entropy import fit_entropy

SIZES = ((128, 256), (512, 768), (1024, 2048))
THEIRS = """
import json, sys, time, torch, numpy, compressai
from PIL import Image
from compressai.zoo import mbt2018_mean
torch.set_num_threads(int(sys.argv[1]))
torch.manual_seed(0)
net = mbt2018_mean(quality=1, pretrained=False).eval()
net.update(force=True)
rows = []
for file in sys.argv[3:]:
    x = torch.from_numpy(numpy.array(Image.open(file))).permute(2, 0, 1)[None] / 255
    x = x[..., : x.shape[-2] // 64 * 64, : x.shape[-1] // 64 * 64]
    times = []
    with torch.no_grad():
        for _ in range(int(sys.argv[2]) + 1):
            a = time.perf_counter(); out = net.compress(x); b = time.perf_counter()
            net.decompress(out["strings"], out["shape"]); c = time.perf_counter()
            times.append((b - a, c - b))
    rows.append([sorted(t)[len(t) // 2] for t in zip(*times[1:])])
print(json.dumps([f"compressai {compressai.__version__}, torch {torch.__version__}", rows]))
"""
Result = TypeVar("Result")


def timed(runs: int, work: Callable[[], Result]) -> tuple[float, Result]:
    """Median milliseconds of `runs` calls after a first one, and the result of the last."""
    times, result = [], work()
    for _ in range(runs):
        start = time.perf_counter()
        result = work()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times), result


def untrained(place: Path) -> NeuralCodec:
    """A codec of d = 3, C = 8 with fresh networks, and tables fitted for some steps on procedural scenes."""
    torch.manual_seed(0)
    net = CodecNet.of({"downsamplings": 3, "channels": 8}).eval().requires_grad_(False)
    data = ImageDataModule(StreetScenes(str(place / "scenes"), train=8, val=0, test=0), (128, 256), num_workers=0)
    data.prepare_data()
    fitted = fit_entropy(NeuralCodec(net, "untrained", bytes(32)), data, steps=40, passes=2)
    net.entropy.load_state_dict(fitted)
    return NeuralCodec(net, "untrained", bytes(32))


def stages(codec: NeuralCodec, image: Tensor, runs: int) -> tuple[list[float], int]:
    """Times of encoder, entropy coding, entropy decoding by the context model, and generator; and the bytes."""
    coder = codec.net.entropy.latent_coder()
    context = coder.context
    assert context is not None, "fit the model's tables first: semcomp fit-entropy"
    analysis, (content,) = timed(runs, lambda: codec.analyse(image[None]))
    coding, _ = timed(runs, lambda: coder.encode(content.symbols))
    payload = context.encode(content.symbols)
    decoding, symbols = timed(runs, lambda: context.decode(payload, *content.symbols.shape[1:]))
    assert (symbols == content.symbols).all()
    synthesis, _ = timed(runs, lambda: codec.synthesise([content]))
    return [analysis, coding, decoding, synthesis], len(codec.compress(image))


def main() -> None:
    """Draw scenes of three sizes, time all models on them, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=[], help="checkpoints or exports with fitted tables")
    parser.add_argument("--compressai", help="Python of an environment with CompressAI")
    parser.add_argument("--runs", type=int, default=7, help="timed runs of each stage")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of torch and linear algebra")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as place:
        codecs = {Path(path).name: semcomp_pl.load(path) for path in options.models}
        codecs["untrained d=3 C=8"] = untrained(Path(place))
        files = []
        for height, width in SIZES:
            scenes = StreetScenes(f"{place}/{width}", train=1, val=0, test=0, size=(height, width))
            scenes.prepare()
            files.append(str(scenes.samples("train")[0].image))
        print(f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}, ", end="")
        print(f"NumPy {np.__version__}, {options.threads} threads, median of {options.runs} runs; milliseconds")
        print(f"{'model':28} {'size':>10} {'encoder':>8} {'coding':>8} {'decoding':>8} {'generator':>9}", end="")
        print(f" {'compress':>9} {'decompress':>10} {'entropy/net':>11} {'bytes':>7}")
        for name, codec in codecs.items():
            for file, (height, width) in zip(files, SIZES, strict=True):
                pixels = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1) / 255
                (analysis, coding, decoding, synthesis), size = stages(codec, pixels, options.runs)
                share = (coding + decoding) / (analysis + synthesis)
                print(f"{name:28} {f'{width}x{height}':>10} {analysis:8.1f} {coding:8.1f} {decoding:8.1f}", end="")
                print(f" {synthesis:9.1f} {analysis + coding:9.1f} {decoding + synthesis:10.1f} {share:11.3f} {size:7}")
        if options.compressai:
            words = [options.compressai, "-c", THEIRS, str(options.threads), str(options.runs), *files]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"CompressAI failed: {done.stderr.splitlines()[-1]}")
            versions, rows = json.loads(done.stdout.splitlines()[-1])
            for (there, back), (height, width) in zip(rows, SIZES, strict=True):
                print(f"{'mbt2018-mean, untrained':28} {f'{width}x{height}':>10} {'':36}", end="")
                print(f"{1000 * there:9.1f} {1000 * back:10.1f}")
            print(versions)


if __name__ == "__main__":
    main()
