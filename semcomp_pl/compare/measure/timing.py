"""Times and memory of one codec, alone on the machine and in its own process."""

import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from semcomp_pl.compare.measure.coders import Candidate
from semcomp_pl.compare.measure.panel import Panel
from semcomp_pl.compare.measure.plan import Plan
from semcomp_pl.data.datamodule import ImageDataset


def time_coder(plan: Plan, candidate: Candidate, images: Sequence[int]) -> list[dict[str, Any]]:
    """Measure times of encoding and decoding by point and image, and the codec's peak memory.

    Call it in a fresh process. The first image is coded once beforehand, so that no time includes compilation or
    filling of caches. Making a label map counts as encoding; the search for a target rate is not counted.

    Returns:
        Dictionaries with `codec`, `point`, `image`, `encode_seconds`, `decode_seconds`, and `peak_memory` in bytes:
        that of the GPU if one is used, else the peak of the process beyond Python and its libraries. Failed pairs are
        left out.
    """
    before = _resident("VmRSS")
    panel = Panel(plan.judges if candidate.by_agreement else [], plan.device)
    coder, data, rows = candidate.coder(plan.device, panel), ImageDataset(plan.store), []
    for index in [images[0], *images]:
        sample = data[index]
        image, label = sample["image"].to(plan.device), sample.get("label")
        label = None if label is None else label.to(plan.device)
        for point in coder.points:  # inner loop, so that the next point's search reuses the files of this one
            try:
                encode = coder.encoder(point, image, label)
                start = time.perf_counter()
                content = encode()
                middle = time.perf_counter()
                coder.decode(content)
                end = time.perf_counter()
            except Exception:  # the pair's row holds the error
                continue
            row = {"codec": coder.codec, "point": point, "image": sample["name"]}
            rows.append({**row, "encode_seconds": middle - start, "decode_seconds": end - middle})
    peak = torch.cuda.max_memory_allocated() if plan.device != "cpu" else max(0, _resident("VmHWM") - before)
    latest = {(row["codec"], row["point"], row["image"]): row for row in rows}  # drops the first round
    return [{**row, "peak_memory": peak} for row in latest.values()]


def _resident(field: str) -> int:
    """Resident memory of this process in bytes: current (VmRSS) or peak so far (VmHWM)."""
    status = Path("/proc/self/status")
    if not status.is_file():
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else 1024 * peak
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return 1024 * int(lines[field].split()[0])
