"""Times and memory of one codec, alone on the machine and in a process of its own."""

import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from semcomp_pl.compare.measure.coders import Candidate
from semcomp_pl.compare.measure.plan import Plan
from semcomp_pl.data.datamodule import ImageDataset


def time_coder(plan: Plan, candidate: Candidate, images: Sequence[int]) -> list[dict[str, Any]]:
    """Seconds of coding and decoding by point and image, and the memory that the codec took at most.

    Call it in a fresh process. The first image is coded once before, so that no time is that of compiling or of
    caches that fill. A label map is made within the time of coding; the search for a target rate is not counted.

    Returns:
        Dictionaries with `codec`, `point`, `image`, `encode_seconds`, `decode_seconds`, and `peak_memory` in bytes:
        of the GPU where there is one, else what the process held at most beyond Python and its libraries. Pairs that
        fail are left out.
    """
    before = _resident("VmRSS")
    coder, data, rows = candidate.coder(plan.device), ImageDataset(plan.store), []
    for index in [images[0], *images]:
        sample = data[index]
        image, label = sample["image"].to(plan.device), sample.get("label")
        label = None if label is None else label.to(plan.device)
        for point in coder.points:  # within: files that a search has made serve the next point's
            try:
                encode = coder.encoder(point, image, label)
                start = time.perf_counter()
                content = encode()
                middle = time.perf_counter()
                coder.decode(content)
                end = time.perf_counter()
            except Exception:  # the row of the pair has the error
                continue
            row = {"codec": coder.codec, "point": point, "image": sample["name"]}
            rows.append({**row, "encode_seconds": middle - start, "decode_seconds": end - middle})
    peak = torch.cuda.max_memory_allocated() if plan.device != "cpu" else max(0, _resident("VmHWM") - before)
    latest = {(row["codec"], row["point"], row["image"]): row for row in rows}  # without the first round
    return [{**row, "peak_memory": peak} for row in latest.values()]


def _resident(field: str) -> int:
    """Bytes of this process in memory, now (VmRSS) or at most so far (VmHWM)."""
    status = Path("/proc/self/status")
    if not status.is_file():
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else 1024 * peak
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return 1024 * int(lines[field].split()[0])
