"""`semcomp sweep`: run a W&B sweep on this machine, without a server and without training anything twice."""

import argparse
import io
import os
import shlex
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

from rich.console import Console

from semcomp_pl.cli import import_user_module, run_arguments
from semcomp_pl.cli.train import main as training
from semcomp_pl.errors import SemcompError
from semcomp_pl.files.atomic import make_output
from semcomp_pl.files.places import resolve_config
from semcomp_pl.training.stopping import TO_BE_CONTINUED

try:
    from semcomp_pl.sweep.budget import Budget
    from semcomp_pl.sweep.end import Exporter, report
    from semcomp_pl.sweep.file import Sweep, read_sweep
    from semcomp_pl.sweep.loop import Loop, Plan, share_of_cores
    from semcomp_pl.sweep.names import run_name
    from semcomp_pl.sweep.run import arguments
    from semcomp_pl.sweep.show import Screen
    from semcomp_pl.sweep.study import Study, sampled
except ModuleNotFoundError as error:
    if error.name not in {"optuna", "colorlog", "tqdm", "packaging"}:
        raise
    raise SemcompError(
        f"{error.name} is missing, which semcomp sweep needs: pip install 'semcomp_pl[sweep]'; docs/sweeps.md names "
        "the wheels for machines without a package index"
    ) from None


def main(args: list[str]) -> int:
    """Run `semcomp sweep`.

    Returns 0, or 1 if a run has failed, or 75 if the sweep was stopped, or ran out of time, before its end.

    Raises:
        SemcompError: bad usage, an unusable YAML, or a command that cannot be parsed.
        KeyboardInterrupt: after Ctrl-C, when all trainings have stopped.
    """
    options, more = _parser().parse_known_args(args)
    sweep = read_sweep(Path(options.file))
    _refuse_swept(sweep, more)
    directory = Path(options.runs) / (options.name or Path(options.file).stem)
    count = _count(sweep, options.trials)
    last = ["--trainer.enable_progress_bar=false"] + ([] if _wanted(options.wandb) else ["--trainer.logger=false"])
    points = sampled(sweep, count if options.dry_run or sweep.method != "bayes" else 1, options.seed)
    commands = [sweep.command(point, more) for point in points]
    names = [run_name(number, sweep.varied(point)) for number, point in enumerate(points)]
    words = [arguments(command, directory, name, last) for command, name in zip(commands, names, strict=True)]
    modules = [*dict.fromkeys(module for command in commands for module in command.modules)]
    for module in modules:
        import_user_module(module)
    for one in words:
        _parse(one)
    if options.dry_run:
        for command, one in zip(commands, words, strict=True):
            print(shlex.join([*command.launcher, *one]))
        return 0
    make_output(directory, "--runs")
    study = Study(sweep, more, directory, options.storage, options.seed)
    if sweep.method != "bayes":
        study.fill(points)
    if options.retry_failed:
        study.retry_failed()
    plan = Plan(
        options.workers, count, more, last, {**share_of_cores(options.workers), "WANDB_RUN_GROUP": directory.name}
    )
    return _run(study, directory, plan, options, [*data_arguments(words[0]), *(f"--import={name}" for name in modules)])


def _run(study: Study, directory: Path, plan: Plan, options: argparse.Namespace, wanted: list[str]) -> int:
    budget = None
    if options.max_minutes is not None:
        left = study.left(plan.limit) + len(study.running())
        budget = Budget(options.max_minutes, options.reserve, plan.workers, left, study.given())
    console = Console()
    with Screen(study, directory, plan.limit, console) as screen:
        finish = Exporter(study, directory, options.export, screen.tell)
        loop = Loop(study, directory, plan, budget, screen.tell, screen.update, finish)
        loop.run()
    failed = report(study, directory, console, plan.limit, wanted)
    if loop.received is not None and loop.received.name == "SIGINT":
        raise KeyboardInterrupt
    if loop.stopping or study.left(plan.limit):
        return TO_BE_CONTINUED
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "semcomp sweep",
        allow_abbrev=False,
        description="Run a W&B sweep on this machine, without a server. The same command goes on with a sweep that was "
        "interrupted. Arguments that are not listed here go to every semcomp fit, before those that are swept: "
        "semcomp sweep sweeps/rate.yaml --data=camvid --trainer.max_epochs=20",
        usage="semcomp sweep FILE [options] [arguments of semcomp fit]",
    )
    parser.add_argument("file", metavar="FILE", help="sweep's YAML, as for wandb sweep")
    parser.add_argument("--workers", type=_positive, default=1, metavar="N", help="trainings side by side (default: 1)")
    parser.add_argument("--trials", type=_positive, metavar="N", help="trials of random or bayes (default: run_cap)")
    parser.add_argument(
        "--max-minutes", type=float, metavar="M", help="end in M minutes; all trainings get the same time"
    )
    parser.add_argument(
        "--reserve",
        type=float,
        default=60,
        metavar="S",
        help="with --max-minutes: seconds of each training for start, last validation and entropy model (default: 60)",
    )
    parser.add_argument("--dry-run", action="store_true", help="print all commands, once they are parsed, and stop")
    parser.add_argument("--retry-failed", action="store_true", help="run failed trials once more, as new runs")
    parser.add_argument(
        "--export",
        choices=("none", "first", "all"),
        default="none",
        help="export no run, all, or the first one of those that differ in the seed alone (default: none)",
    )
    parser.add_argument(
        "--wandb", choices=("true", "false"), help="log to W&B if the YAML does (default: if configured)"
    )
    parser.add_argument(
        "--storage", metavar="URL", help="database or journal file (default: sweep.db in the directory)"
    )
    parser.add_argument("--name", help="name of the sweep and its directory (default: that of FILE)")
    parser.add_argument(
        "--runs", default="runs", metavar="DIR", help="directory of the sweep's directory (default: runs)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of random and bayes (default: 0)")
    return parser


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} found, expected 1 or more")
    return number


def _count(sweep: Sweep, given: int | None) -> int:
    count = given or sweep.content.get("run_cap") or (1 if sweep.method == "grid" else None)
    if count is None:
        raise SemcompError(f"method {sweep.method} has no end; say how many --trials N")
    return int(count)


def _refuse_swept(sweep: Sweep, more: Sequence[str]) -> None:
    for arg in more:
        name = arg.lstrip("-").partition("=")[0]
        if name in sweep.parameters:
            raise SemcompError(
                f"{arg}: {name} is swept by the YAML; leave it out, or take it from the YAML's parameters"
            )


def _wanted(given: str | None) -> bool:
    """Whether W&B is wanted: as said, or else if the environment configures it."""
    return given == "true" if given else any(name in os.environ for name in ("WANDB_MODE", "WANDB_API_KEY"))


def _parse(words: Sequence[str]) -> None:
    """Let the parser of `semcomp fit` read a command.

    Raises:
        SemcompError: it is not accepted.
    """
    try:
        with redirect_stdout(io.StringIO()):
            training(["fit", *run_arguments("fit", list(words[1:])), "--print_config"])
    except SystemExit as end:
        if end.code:
            raise
    except SemcompError as error:
        raise SemcompError(f"{error}; found in: semcomp {shlex.join(words)}") from None


def data_arguments(words: Sequence[str]) -> list[str]:
    """Arguments of `semcomp compare` for the data that a run is trained with."""
    args = run_arguments("fit", list(words[1:]))
    following = [*args[1:], "--"]
    flags = [
        arg if "=" in arg or value.startswith("--") else f"{arg}={value}"
        for arg, value in zip(args, following, strict=True)
        if arg.startswith("--data.")
    ]
    configs = [arg.removeprefix("--config=") for arg in args if "--data." not in arg and Path(arg).match("data/*.yaml")]
    if not configs:
        return flags
    comparison = resolve_config(f"configs/compare/{Path(configs[-1]).name}")
    return [*(["--config", comparison] if Path(comparison).is_file() else ["--data", configs[-1]]), *flags]
