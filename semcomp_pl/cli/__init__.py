"""The entry point of `semcomp` and `python -m semcomp_pl`; torch is imported only by commands that need it."""

import gc
import io
import os
import sys
from collections.abc import Callable
from importlib import import_module

from semcomp_pl.errors import SemcompError
from semcomp_pl.files.places import expand_home, nearest, with_configs, without_imports
from semcomp_pl.version import __version__

USAGE = """usage: semcomp COMMAND ...

Semantic image compression below 0.1 bit per pixel: train, test and compare.

  demo         all of it on images that everybody has, in minutes
  samples      write street scenes and free photographs to try it on
                 semcomp samples samples
  compress     images to files
                 semcomp compress samples/cat.png --model plain_gan -o cat.smc
  decompress   files to images
                 semcomp decompress cat.smc --model plain_gan -o cat.png
  inspect      show the parts of a file
                 semcomp inspect cat.smc
  compare      run codecs over the same images, and write a report
                 semcomp compare --config configs/compare/samples.yaml
                 semcomp compare runs/a runs/b --data camvid --output DIR
  report       write it anew, also of a comparison that is not finished
                 semcomp report DIR

  fit          train a model, or go on with a run
                 semcomp fit --trainer cpu --data streets --model plain_gan
                 semcomp fit runs/plain_gan --trainer.max_epochs 200
  validate     measure it on the validation split
  test         measure it on the test split, by real files
                 semcomp test runs/plain_gan
                 semcomp test rate_distortion --data camvid
  predict      write its reconstructions
                 semcomp predict runs/plain_gan
  sweep        train a model for each point of a W&B sweep
                 semcomp sweep sweeps/rate.yaml --workers 2
  fit-entropy  fit the tables that files are coded with, if fit was told not to
                 semcomp fit-entropy MODEL --data streets
  export       write half-precision weights and JSON to share
                 semcomp export runs/plain_gan DIR

A model is a run, a checkpoint, an export, or the name of one in runs/ or weights/.

  semcomp COMMAND --help   all options of a command
  semcomp --version
  --debug                  with any command: the traceback of an error
  --import MODULE          with any command: run your own Python module first,
                           which may define models
"""
TRAINING = ("fit", "validate", "test", "predict")
COMMANDS = {
    **dict.fromkeys(TRAINING, "train"),
    **{name: name for name in ("compress", "decompress", "inspect", "export", "compare", "sweep", "demo", "samples")},
    "report": "report",
    "fit-entropy": "fit_entropy",
}
"""The module that runs each command; imported when the command is called."""


_TOLD = {"compare": "--imports+=", "sweep": "--import="}
"""How commands that start other processes are told of imported modules."""


def main(args: list[str] | None = None) -> int:
    """Run a command; the exit status is 0, 2 for bad usage or bad input, or 3 for a bad file."""
    args = list(sys.argv[1:] if args is None else args)
    debug = "--debug" in args
    args, modules = without_imports(arg for arg in args if arg != "--debug")
    if not args or args[0] in {"-h", "--help"}:
        print(USAGE, end="")
        return 0 if args else 2
    if args[0] == "--version":
        print(f"semcomp_pl {__version__}")
        return 0
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names in other encodings
    try:
        for module in modules:
            import_user_module(module)
        told = [_TOLD[args[0]] + module for module in modules if args[0] in _TOLD]
        return _run(args[0], [*map(_expand, args[1:]), *told]) or 0
    except SemcompError as error:
        if debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # as with `| head`: nobody reads any more, and nothing went wrong
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123  # what is still buffered goes there
        return 141
    except OSError as error:  # such as a full or read-only disk; the error names the file
        if debug:
            raise
        place = f"{error.filename}: " if error.filename else ""
        print(f"error: {place}{error.strerror or error}; make room there, or choose another place", file=sys.stderr)
        return 2


def import_user_module(module: str) -> None:
    """Import a module of the user's, from the working directory or installed."""
    if (here := os.getcwd()) not in sys.path:  # noqa: PTH109  # what is imported here needs no pathlib
        sys.path.insert(0, here)
    try:
        import_module(module)
    except (ImportError, ValueError) as error:
        raise SemcompError(
            f"--import {module}: {error}; expected a Python module in the working directory or an installed one"
        ) from error


def _expand(arg: str) -> str:
    """Expand `~` at the start of an argument or of an option's value; shells expand only the former."""
    flag, equals, value = arg.partition("=") if arg.startswith("-") else ("", "", arg)
    return flag + equals + expand_home(value)


def _run(command: str, args: list[str]) -> int | None:
    if command not in COMMANDS:
        raise SemcompError(f"unknown command {command!r}; semcomp --help lists them{nearest(command, COMMANDS)}")
    if command in TRAINING:
        args = [command, *run_arguments(command, args)]
    status: int | None = _imported(command)(args)
    return status


def _imported(command: str) -> Callable[[list[str]], int | None]:
    """The function that runs a command.

    Imports make a million objects and hardly any garbage: looking for it would take a fifth of their time, and as much
    again whenever the collector looks through all of them later.
    """
    name = f"semcomp_pl.cli.{COMMANDS[command]}"
    if name not in sys.modules:
        gc.disable()
        import_module(name)
        gc.freeze()
        gc.enable()
    run: Callable[[list[str]], int | None] = sys.modules[name].main
    return run


def run_arguments(command: str, args: list[str]) -> list[str]:
    """Arguments of LightningCLI for those of a training command.

    A leading run, export or checkpoint is replaced by its config and weights, and `--model=plain_gan` by the file of
    that name; the shipped configs/ are found from anywhere.
    """
    if not args:
        said = "what to train: for example --trainer cpu --data streets --model plain_gan, or a RUN to go on with"
        wanted = said if command == "fit" else "a MODEL: a run, checkpoint or export, or the name of one"
        raise SemcompError(f"{command} needs {wanted}; semcomp {command} --help shows all options")
    for arg in args:
        if arg.endswith("=None"):
            raise SemcompError(
                f"{arg}: W&B writes a sweep's null as the text None; give a number, or leave the parameter out"
            )
    if args and not args[0].startswith("-"):
        from semcomp_pl.cli.saved import arguments_of

        args = [*arguments_of(command, args[0]), *args[1:]]
    return with_configs(args)
