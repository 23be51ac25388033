r"""The overhead of `semcomp compare` over the time of codecs and metrics, and its memory for more images.

    python benchmarks/compare.py --scenes streets --model rate_distortion --images [8,24]

Runs in one process, without pictures and without the serial pass, and covers the loop over images with its rows, and
the merge with summary and figures. Overhead is time spent neither in codecs nor in metrics, relative to the time there.
"""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

from jsonargparse import ArgumentParser

from semcomp_pl.compare.config import LOAD, CodecEntry, Settings
from semcomp_pl.compare.measure import parts
from semcomp_pl.compare.measure.plan import prepare
from semcomp_pl.compare.measure.pool import Worker
from semcomp_pl.compare.measure.ranks import Share
from semcomp_pl.compare.run import render
from semcomp_pl.data import ImageDataModule, StreetScenes


def main() -> None:
    """Measure and print a table."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=str, default="data/streets", help="directory of procedural scenes")
    parser.add_argument("--model", type=str, default="rate_distortion", help="model to compare")
    parser.add_argument("--judge", type=str | None, default=None, help="segmenter for the scenes' classes")
    parser.add_argument("--images", type=list[int], default=[8, 24], help="numbers of images to measure")
    config = parser.parse_args()
    data = ImageDataModule(StreetScenes(config.scenes, val=max(config.images)), num_workers=0)
    data.prepare_data()
    settings = Settings(
        codecs=[
            CodecEntry(LOAD, {"model": config.model}),
            CodecEntry("semcomp_pl.codecs.WebP", targets=[0.04, 0.06]),
            CodecEntry("semcomp_pl.codecs.JPEG2000", points=[{"quality": 20}, {"quality": 30, "downscale": 2}]),
        ],
        judge=config.judge,
        metrics=["feature_distance"],
        pictures=0,
        workers=0,
    )
    print("| images | codecs and metrics (s) | loop (s) | overhead | merge and summary (s) | with it | memory (MB) |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for images in config.images:
        with tempfile.TemporaryDirectory() as directory:
            print(_line(replace(settings, output=directory, images=images), data))


def _line(settings: Settings, data: ImageDataModule) -> str:
    plan, provenance, loaded = prepare(settings, data, Share(0, 1, 0))
    parts.claim(plan.directory, provenance, "")
    worker = Worker(plan, 0, loaded)
    start = time.perf_counter()
    for index in range(len(plan.names)):
        worker.measure(index, frozenset())
    loop, busy, memory = time.perf_counter() - start, worker.measurer.busy, _resident()
    start = time.perf_counter()
    render(plan.directory, parts.collect(plan.directory))
    merge = time.perf_counter() - start
    shares = f"{loop - busy:.2f} s, {(loop - busy) / busy:.1%} | {merge:.1f} | {(loop + merge - busy) / busy:.1%}"
    return f"| {len(plan.names)} | {busy:.1f} | {loop:.1f} | {shares} | {memory / 1e6:.0f} |"


def _resident() -> int:
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return 1024 * int(lines["VmRSS"].split()[0])


if __name__ == "__main__":
    main()
