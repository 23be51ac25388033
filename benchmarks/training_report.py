"""The report docs/results/training.md: all models with this source tree, and with an older one."""

import os
import platform
import re
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import torch
from fits import HERE, Bench, Case, Figures
from tables import table

MODELS = (
    "rate_distortion",
    "plain_gan",
    "semantic_discriminator_gan",
    "conditional_gan",
    "selective_gan",
    "semantic_distortion_gan",
    "layered_codec",
    "pspnet",
    "deeplabv3plus",
)
PLAIN_MODELS = ("rate_distortion", "plain_gan", "semantic_discriminator_gan", "conditional_gan")
"""Models whose step the plain loop takes too."""
PAPER = ("--config=configs/size/paper.yaml", "--model.discriminator_filters=64")
BF16 = "bf16-mixed"
FLOAT = "after, 32-true"
AIM = 1.3
"""How many times as fast a model should be now."""
SECTIONS = ("ways", "parts", "memory")

HEAD = """# Speed of training

```sh
python benchmarks/training.py --table docs/results/training.md{before} --data {data}{only}
```

Every figure is from `semcomp fit` itself, each in a process of its own, with its default callbacks, progress bar and
logging. Images are 256x128 and batches have 8, loaded by two processes, in the precision that each tree's own
`configs/trainer/cpu.yaml` chooses on this machine, unless a table says otherwise. Rates are those of all timed steps
together; times of a step are medians; memory is the most that the process had.
"""
PARTS = """## Parts of a step

Seconds, mean over the timed steps. *Data*: waiting for the loader and copying the batch. *Codec half*: from the batch
to the codec's gradients, with the discriminator's view of both images. *Discriminator half*: its loss and gradients,
and a second look at the images if it takes one. *Optimiser*: clipping and steps. *EMA*: the moving average of the
weights. *Rest*: logging, Lightning's loop and the other callbacks.

The *plain loop* is written by hand over copies of the same networks (benchmarks/plain_loop.py): the same losses,
optimisers, clipping and moving average, no Lightning. It takes each batch directly after `fit` has taken it, and gets
it for nothing: two loading processes work while `fit` computes on the same cores. *Over it* is the median over the
steps of what `fit` takes longer. Where `fit` loads its batches itself, *without data* is what the suite adds to the
same loop.
"""
MEMORY = """## Memory at the paper's size

PlainGAN with the paper's networks (configs/size/paper.yaml, 64 filters in the discriminator) at 1024x512, batch 1: the
most memory of the process until the first step of the optimisers, and the time of a batch.
"""


def write(
    bench: Bench, before: Path | None, data: str, models: Sequence[str] = MODELS, only: Sequence[str] = ()
) -> str:
    """Measure, and return the report in Markdown.

    Args:
        bench: Runs the fits.
        before: An older source tree; without one there are no columns about it.
        data: What the fits train on, as it was given on the command line.
        models: Models whose rates are measured.
        only: Sections to write besides the rates, of `SECTIONS`; all of them if empty.
    """
    start = time.monotonic()
    trees = {"after": HERE.parent} if before is None else {"before": before.resolve(), "after": HERE.parent}
    cold = {name: _cold(bench, tree) for name, tree in trees.items()}
    fits = {model: {name: bench.run(_case(model), tree) for name, tree in trees.items()} for model in models}
    for model in models:
        fits[model][FLOAT] = bench.run(_case(model, precision="32-true"), trees["after"])
    chosen = [f" --only {' '.join(only)}"] if only else []
    chosen += [f" --models {' '.join(models)}"] if tuple(models) != MODELS else []
    sections = [
        HEAD.format(before="" if before is None else " --before DIR", data=data, only="".join(chosen)),
        _machine(bench, trees),
        _rates(fits),
        _first_steps(cold, fits),
    ]
    makers = {"ways": partial(_ways, bench, trees), "parts": partial(_parts, bench, trees)}
    makers["memory"] = partial(_memory, bench, trees)
    sections += [makers[name]() for name in only or SECTIONS]
    return "\n".join([*sections, f"All of this took {(time.monotonic() - start) / 60:.0f} minutes.\n"])


def _case(model: str, **options: Any) -> Case:
    return replace(Case(model=model, precision=None, warmup=1, steps=8, seconds=5), **options)


def _cell(figures: Figures, name: str, form: str) -> str:
    """A figure as text; the reason instead of the rate of a fit that failed."""
    if figures.error:
        return figures.error.replace("|", "/") if name == "rate" else ""
    return format(getattr(figures, name), form)


def _faster(found: dict[str, Figures], name: str) -> float | None:
    """How many times as fast as before it is."""
    before, after = found.get("before"), found[name]
    return None if before is None or before.error or after.error else after.rate / before.rate


def _machine(bench: Bench, trees: dict[str, Path]) -> str:
    processor = "processor of unknown name"
    information = Path("/proc/cpuinfo")
    if information.is_file():
        text = information.read_text()
        found = re.search(r"model name\s*: (.*)", text)
        has = [name for name, flag in (("AVX512_BF16", "avx512_bf16"), ("AMX", "amx_bf16")) if flag in text]
        processor = f"{found[1] if found else platform.machine()} ({', '.join(has) or 'no bf16 arithmetic'})"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    threads = bench.threads or torch.get_num_threads()
    commits = ", ".join(f"{name} {_commit(tree)}" for name, tree in trees.items())
    return (
        f"Machine: {os.cpu_count()} cores of an {processor}, {memory:.0f} GiB, {platform.system()} "
        f"{platform.release().partition('-')[0]}, no GPU; {threads} threads compute.\nPython "
        f"{platform.python_version()}, torch {torch.__version__}, lightning {lightning.__version__}. "
        f"Commits: {commits}. Seed 0 everywhere.\n"
    )


def _commit(tree: Path) -> str:
    command = ["git", "-C", str(tree), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _rates(fits: dict[str, dict[str, Figures]]) -> str:
    rows, reached = [], []
    for model, found in fits.items():
        row = {"model": model, **{f"images/s {name}": _cell(fit, "rate", ".2f") for name, fit in found.items()}}
        for title, name in (("faster, 32-true", FLOAT), ("faster", "after")):
            faster = _faster(found, name)
            row |= {} if faster is None else {title: f"{faster:.2f}x"}
            reached += [model] if title == "faster" and (faster or 0) >= AIM else []
        row |= {f"step {name} (s)": _cell(fit, "step", ".3f") for name, fit in found.items()}
        rows.append(row | {f"memory {name} (MB)": _cell(fit, "memory", ".0f") for name, fit in found.items()})
    first = next(iter(fits.values()))
    chosen = ", ".join(f"{name} {fit.precision}" for name, fit in first.items() if name != FLOAT)
    aim = f"At least {AIM} times as fast as before: {', '.join(reached) or 'none'}." if "before" in first else ""
    return f"## Images per second\n\nChosen by `cpu.yaml`: {chosen}. {aim}\n\n{table(rows)}"


def _cold(bench: Bench, tree: Path) -> Figures:
    """A fit that has to prepare its images before its first step."""
    cache = f"--data.cache_dir={bench.directory / f'cache{bench.count}'}"
    return bench.run(_case("plain_gan", warmup=0, steps=1, options=(cache,)), tree)


def _first_steps(cold: dict[str, Figures], fits: dict[str, dict[str, Figures]]) -> str:
    rows = []
    for name, first in cold.items():
        warm = [found[name].first_step for found in fits.values() if not found[name].error] or [0.0]
        rows.append(
            {
                "": name,
                "images prepared before (s)": f"{statistics.median(warm):.1f}, {min(warm):.1f} to {max(warm):.1f}",
                "images to prepare (s)": _cell(first, "first_step", ".1f"),
            }
        )
    introduction = (
        "From the start of the process to its first step: median and range over the models, and PlainGAN once."
    )
    return f"## Time to the first step\n\n{introduction}\n\n{table(rows)}"


def _ways(bench: Bench, trees: dict[str, Path]) -> str:
    """Loader and resident data, both precisions, compiled and not."""
    usual = [(name, False, False, precision) for precision in ("32-true", BF16) for name in trees]
    resident = [("after", True, False, "32-true"), ("after", True, False, BF16)]
    compiled = [("after", True, True, "32-true")]  # for one model: compiling takes most of a minute
    rows = []
    for model, ways in (("rate_distortion", usual + resident), ("plain_gan", usual + resident + compiled)):
        for name, is_resident, is_compiled, precision in ways:
            case = _case(model, resident=is_resident, compiled=is_compiled, precision=precision)
            fit = bench.run(case, trees[name])
            rows.append(
                {
                    "model": model,
                    "": name,
                    "data": "resident" if is_resident else "loader",
                    "precision": precision,
                    "compiled": "yes" if is_compiled else "",
                    "images/s": _cell(fit, "rate", ".2f"),
                    "step (s)": _cell(fit, "step", ".3f"),
                    "end of the first step after (s)": _cell(fit, "first_step_done", ".1f"),
                }
            )
    return f"## Loader and resident data, precision, compiled networks\n\n{table(rows)}"


def _parts(bench: Bench, trees: dict[str, Path]) -> str:
    ways: list[tuple[str, str, str | None, int]] = [("plain_gan", name, "32-true", 2) for name in trees]
    ways += [(model, "after", None, workers) for model in ("plain_gan", "rate_distortion") for workers in (2, 0)]
    rows = []
    for model, name, precision, workers in ways:
        case = _case(model, steps=12, seconds=15, parts=True, plain=True, precision=precision, workers=workers)
        fit = bench.run(case, trees[name])
        row = {"model": model, "": name, "precision": fit.precision, "loaded by": str(workers or "itself")}
        row |= {"step": fit.error or f"{fit.step:.3f}", **{part: f"{value:.3f}" for part, value in fit.parts.items()}}
        rows.append(row | {"plain loop": _cell(fit, "plain_step", ".3f"), "over it": _cell(fit, "overhead", "+.1%")})
        rows[-1]["without data"] = "" if fit.error else f"{(fit.step - fit.parts['data']) / fit.plain_step - 1:+.1%}"
    return f"{PARTS}\n{table(rows)}"


def _memory(bench: Bench, trees: dict[str, Path]) -> str:
    recompute, accumulate = "--model.recompute=true", "--model.accumulate=2"
    ways: list[tuple[str, tuple[str, ...], int, str | None]] = [(name, (), 1, "32-true") for name in trees]
    ways += [("after", options, 1, None) for options in ((), (recompute,))] + [
        ("after", (recompute, accumulate), 2, None)
    ]
    rows = []
    for name, options, batches, precision in ways:
        size = {"batch": 1, "size": (512, 1024), "warmup": 0, "steps": batches, "precision": precision}
        fit = bench.run(_case("plain_gan", options=(*PAPER, *options), **size), trees[name])
        memory = {"memory (MB)": fit.error or f"{fit.memory:.0f}", "batch (s)": _cell(fit, "step", ".1f")}
        start = {"": name, "precision": fit.precision, "options": " ".join(f"`{option}`" for option in options)}
        rows.append(start | memory)
    return f"{MEMORY}\n{table(rows)}"
