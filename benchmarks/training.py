r"""Images per second, steps and their parts, memory and starting time of `semcomp fit`, beside a loop written by hand.

    python benchmarks/training.py --models plain_gan selective_gan --loading loader resident --data camvid data/camvid
    python benchmarks/training.py --models plain_gan --size 512 1024 --batch 1 -- \\
        --config=configs/size/paper.yaml --model.recompute=true
    python benchmarks/training.py --table docs/results/training.md --before DIR --data camvid data/camvid

Every fit runs in a process of its own, with the default callbacks, progress bar and logging, and ends after the timed
steps. What follows `--` goes to `semcomp fit`. Without `--data` it trains on random smooth images with CamVid's
classes. Parts of the steps and the hand-written loop (see plain_loop.py) come from a second run, in which both take
turns. `--table` writes the report on all models, and compares them with those of an older source tree.
"""

import argparse
import itertools
import json
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import training_report
from fits import HERE, Bench, Case, Data, Figures
from pictures import write_pictures, write_segmenter
from tables import table
from training_report import PLAIN_MODELS


def main() -> None:
    """Measure all combinations of the options, or what the report needs."""
    options = _parser().parse_args()
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(_data(options, Path(directory)), Path(directory) / "runs", options.threads)
        if options.table is None:
            found = [(case, *_measure(bench, case, options)) for case in _cases(options)]
            print(table([_line(*entry) for entry in found]))
            if options.json is not None:
                rows = [{"case": asdict(case), "fit": asdict(fit), "detail": asdict(more)} for case, fit, more in found]
                options.json.write_text(json.dumps(rows, indent=1))
        else:
            data = "random images" if options.data is None else f"{options.data[0]} ROOT"
            models = options.models or training_report.MODELS
            report = training_report.write(bench, options.before, data, models, options.only)
            options.table.write_text(report)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--models", nargs="+", help="names of files in configs/model; plain_gan, or for a table all, if not given"
    )
    parser.add_argument("--only", nargs="+", default=[], choices=training_report.SECTIONS, help="sections of a table")
    parser.add_argument("--batch", type=int, default=8, help="images in a batch")
    parser.add_argument("--size", type=int, nargs=2, default=(128, 256), help="height and width of training images")
    parser.add_argument("--precision", nargs="+", default=["32-true"], help="32-true, bf16-mixed, auto; one or more")
    parser.add_argument("--loading", nargs="+", default=["loader"], choices=("loader", "resident"))
    parser.add_argument("--compile", nargs="+", default=["no"], choices=("no", "yes"), help="compile networks")
    parser.add_argument("--accelerator", default="cpu", choices=("cpu", "gpu"))
    parser.add_argument("--threads", type=int, help="threads that compute; torch's choice by default")
    parser.add_argument("--workers", type=int, default=2, help="processes that load images")
    parser.add_argument("--warmup", type=int, default=2, help="steps before the timed ones")
    parser.add_argument("--steps", type=int, default=8, help="timed steps")
    parser.add_argument("--seconds", type=float, default=60, help="no further step after this time, from the third on")
    parser.add_argument("--data", nargs=2, metavar=("NAME", "ROOT"), help="a file in configs/data, and the data's root")
    parser.add_argument("--images", type=int, default=128, help="number of random images, without --data")
    parser.add_argument("--tree", type=Path, default=HERE.parent, help="source tree of the suite to measure")
    parser.add_argument("--json", type=Path, help="file for all figures")
    parser.add_argument("--table", type=Path, help="file for the report on all models")
    parser.add_argument("--before", type=Path, help="with --table: an older source tree to compare with")
    parser.add_argument("fit", nargs="*", help="further arguments of semcomp fit")
    return parser


def _data(options: argparse.Namespace, directory: Path) -> Data:
    segmenter = str(write_segmenter(directory / "segmenter.ckpt"))
    if options.data is None:
        return Data(root=str(write_pictures(directory / "pictures", options.images)), segmenter=segmenter)
    name, root = options.data
    cache = f"--data.cache_dir={directory / 'cache'}"
    return Data(
        root=str(Path(root).resolve()), segmenter=segmenter, config=f"configs/data/{name}.yaml", options=(cache,)
    )


def _cases(options: argparse.Namespace) -> list[Case]:
    chosen = itertools.product(options.models or ["plain_gan"], options.loading, options.precision, options.compile)
    return [
        Case(
            model=model,
            batch=options.batch,
            size=tuple(options.size),
            precision=precision,
            resident=loading == "resident",
            compiled=compiled == "yes",
            accelerator=options.accelerator,
            workers=options.workers,
            options=tuple(options.fit),
            warmup=options.warmup,
            steps=options.steps,
            seconds=options.seconds,
        )
        for model, loading, precision, compiled in chosen
    ]


def _measure(bench: Bench, case: Case, options: argparse.Namespace) -> tuple[Figures, Figures]:
    """The figures of an undisturbed run, and those of one with parts and plain loop."""
    plain = case.model in PLAIN_MODELS and not case.compiled
    detail = replace(case, parts=not case.compiled, plain=plain)
    return bench.run(case, options.tree), bench.run(detail, options.tree) if detail.parts else Figures(error="compiled")


def _line(case: Case, fit: Figures, detail: Figures) -> dict[str, str]:
    """A row of the table."""
    loading = "resident" if case.resident else "loader"
    start = {"model": case.model, "data": loading, "precision": str(case.precision), "compiled": "yes" * case.compiled}
    if fit.error:
        return {**start, "images/s": fit.error}
    figures = {
        "images/s": f"{fit.rate:.1f}",
        "step (ms)": f"{1000 * fit.step:.1f}",
        **{f"{part} (ms)": f"{1000 * seconds:.1f}" for part, seconds in detail.parts.items()},
        "over the plain loop": f"{100 * detail.overhead:+.1f} %" if detail.plain else "",
        "memory (MB)": f"{fit.memory:.0f}",
        "first step after (s)": f"{fit.first_step:.1f}",
    }
    return {**start, **figures}


if __name__ == "__main__":
    main()
