"""`semcomp` and `python -m semcomp_pl`: answers quickly, and imports torch only for work that needs it."""

import sys
from pathlib import Path

from semcomp_pl import __version__
from semcomp_pl.errors import SemcompError
from semcomp_pl.paths import resolve_config

USAGE = """usage: semcomp COMMAND ...

Semantic image compression below 0.1 bit per pixel: train, test and compare.

  fit        train a model:   semcomp fit --config configs/data/streets.yaml --config configs/model/plain_gan.yaml
  validate   measure it on the validation split
  test       measure it on the test split:   semcomp test runs/plain_gan
  predict    write its reconstructions:      semcomp predict runs/plain_gan
  export     half-precision weights and JSON for others:   semcomp export runs/plain_gan/checkpoints/best.ckpt DIR
  demo       all of it on procedural street scenes, in minutes

  semcomp COMMAND --help     every option of a command
  semcomp --version
"""
TRAINING = ("fit", "validate", "test", "predict")


def main(args: list[str] | None = None) -> int:
    """Run a command; the exit status is 0, or 2 for bad usage or bad input."""
    args = list(sys.argv[1:] if args is None else args)
    if not args or args[0] in {"-h", "--help"}:
        print(USAGE, end="")
        return 0 if args else 2
    if args[0] == "--version":
        print(f"semcomp_pl {__version__}")
        return 0
    try:
        return _run(args[0], args[1:])
    except SemcompError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _run(command: str, args: list[str]) -> int:
    if command in TRAINING:
        from semcomp_pl.training import main as training

        training([command, *_run_arguments(args)])
        return 0
    raise SemcompError(f"unknown command {command!r}; semcomp --help lists them")


def _run_arguments(args: list[str]) -> list[str]:
    """A leading run directory stands for its config and its best checkpoint; configs/ are found anywhere."""
    if args and not args[0].startswith("-"):
        run, rest = Path(args[0]), args[1:]
        if not (run / "config.yaml").is_file():
            raise SemcompError(f"{run}: not the directory of a run, expected a config.yaml in it")
        best = (
            []
            if any(a.startswith("--ckpt_path") for a in rest)
            else ["--ckpt_path", str(run / "checkpoints/best.ckpt")]
        )
        args = ["--config", str(run / "config.yaml"), *best, *rest]
    return [resolve_config(a) for a in args]
