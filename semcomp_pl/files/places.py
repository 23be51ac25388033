"""Places where configs, models and runs are found, and where new runs are created."""

import os
import re
import shutil
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

from semcomp_pl.errors import SemcompError
from semcomp_pl.files.atomic import make_output

_PACKAGE = Path(__file__).parents[1]
_claimed: list[Path] = []


def configs_root() -> Path:
    """Directory of the configs in an installed wheel or in a clone."""
    installed = _PACKAGE / "configs"
    return installed if installed.is_dir() else _PACKAGE.parent / "configs"


def resolve_config(path: str) -> str:
    """`path` itself, or the shipped file for `configs/...` if no such file exists in the working directory."""
    parts = Path(path).parts
    if parts[:1] == ("configs",) and not Path(path).exists():
        shipped = configs_root().joinpath(*parts[1:])
        if shipped.is_file():
            return str(shipped)
    return path


def with_configs(args: Sequence[str]) -> list[str]:
    """Arguments with `--model=plain_gan` replaced by `--config=configs/model/plain_gan.yaml`, and so for `--data` etc.

    Shipped configs are found from anywhere; other values of these options stay as they are.

    Raises:
        SemcompError: what looks like a name is none; a model may also be named by its class.
    """
    said: list[str] = []
    rest = iter(args)
    for arg in rest:
        flag, equals, name = arg.partition("=")
        kind = flag.removeprefix("--")
        if flag[:2] != "--" or not kind or not (configs_root() / kind).is_dir():
            said.append(_with_shipped(arg))
            continue
        name = name if equals else next(rest, "")
        is_name = re.fullmatch(r"[\w-]+", name) is not None
        if is_name and Path(file := resolve_config(f"configs/{kind}/{name}.yaml")).is_file():
            said.append(f"--config={file}")
        elif is_name and kind != "model" and not Path(name).exists():
            raise SemcompError(f"--{kind} {name}: {unknown_config(kind, name)}")
        else:
            said += [flag, _with_shipped(name)] if not equals else [_with_shipped(arg)]
    return said


def without_imports(args: Iterable[str]) -> tuple[list[str], list[str]]:
    """Arguments without `--import MODULE`, and the modules."""
    others: list[str] = []
    modules: list[str] = []
    rest = iter(args)
    for arg in rest:
        flag, equals, name = arg.partition("=")
        if flag == "--import":
            modules.append(name if equals else next(rest, ""))
        else:
            others.append(arg)
    return others, modules


def _with_shipped(arg: str) -> str:
    flag, equals, path = arg.rpartition("=")
    return flag + equals + resolve_config(path)


def config_names(kind: str) -> list[str]:
    """Names of the shipped configs of a kind, such as `data`."""
    return sorted(file.stem for file in (configs_root() / kind).glob("*.yaml"))


def unknown_config(kind: str, name: str, others: Iterable[str] = ()) -> str:
    """A sentence about a name that no config of a kind has, and that is none of `others`."""
    names = config_names(kind)
    return f"no such name, expected one of {', '.join(names)}{nearest(name, [*names, *others])}"


def is_first_process() -> bool:
    """Whether this process is the first of those that train one model, or alone.

    torchrun sets RANK; srun sets SLURM_PROCID; Lightning's launcher sets LOCAL_RANK for the processes that it starts,
    and its users set NODE_RANK on all machines but one.
    """
    names = ("RANK",) if "RANK" in os.environ else ("LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
    return all(os.environ.get(name, "0") == "0" for name in names)


def claim_run(root: Path, name: str, *, explicit: bool) -> Path:
    """Create the directory of a new run; concurrent runs each get their own.

    Of the processes that train one model only the first creates it. The others are told the directory's name by
    Lightning where they need it, and what they get here may lack the number at its end.

    Raises:
        SemcompError: the name is `explicit`, and a run of this name exists already.
    """
    if Path(name).name != name:
        raise SemcompError(f"name {name!r} found, expected one of a directory below {root}; leave out the slashes")
    if not is_first_process():
        # the first process writes this file when all have met; the others would wait for it if it alone stopped here
        if explicit and (root / name / "config.yaml").exists():
            raise _taken(root / name)
        return root / name
    make_output(root, "--runs")
    candidates = [name] if explicit else [name, *(f"{name}-{n}" for n in range(2, 10_000))]
    for candidate in candidates:
        run = root / candidate
        try:
            run.mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise SemcompError(f"{run}: cannot make this directory ({error.strerror}); choose another --runs") from None
        _claimed.append(run)
        return run
    raise _taken(root / name)


def _taken(run: Path) -> SemcompError:
    return SemcompError(
        f"{run}: this run exists; choose another --name, resume it with semcomp fit {run}, or delete it"
    )


def release_run() -> None:
    """Drop the claim, and remove the directory if nothing was trained, so that the next attempt may use its name."""
    while _claimed:
        run = _claimed.pop()
        if not any((run / name).exists() for name in ("checkpoints", "metrics.csv")):
            shutil.rmtree(run, ignore_errors=True)


def run_of_checkpoint(checkpoint: str) -> Path | None:
    """The directory RUN of a checkpoint `RUN/checkpoints/NAME.ckpt`; None for other paths."""
    directory = Path(checkpoint).parent
    return directory.parent if directory.name == "checkpoints" else None


def printable(name: str) -> str:
    """A file's name as text that is safe for any file, table or terminal; bytes that are not UTF-8 are escaped."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def expand_home(value: str) -> str:
    """A path with `~` or `~user` at its start expanded; any other text unchanged.

    Raises:
        SemcompError: the user or the home directory does not exist.
    """
    if not value.startswith("~"):
        return value
    try:
        return str(Path(value).expanduser()) + ("/" if value.endswith("/") else "")
    except RuntimeError as error:
        raise SemcompError(f"{value}: {error}; write the path out") from None


def is_export(path: str | Path) -> bool:
    """Whether `path` is a directory that `semcomp export` wrote."""
    return (Path(path) / "manifest.json").is_file()


def find_model(given: str) -> Path:
    """The checkpoint or export that a name or path stands for; used by all commands and arguments that take a model.

    Args:
        given: Checkpoint, directory of an export or of a run (meaning its best checkpoint), or name of one, looked up
            in `weights/` and `runs/` of the working directory, then in `weights/` of a clone.

    Raises:
        SemcompError: no such model exists.
    """
    for place in _places(given):
        best = place / "checkpoints" / "best.ckpt"
        if place.is_file() or is_export(place):
            return place
        if best.is_file():
            return best
    if last := next(
        (file for place in _places(given) if (file := place / "checkpoints" / "last.ckpt").is_file()), None
    ):
        raise SemcompError(f"{given}: a run without a validated checkpoint (best.ckpt) found; name {last}")
    raise SemcompError(
        f"{given}: no such model; expected a checkpoint (.ckpt), the directory of an export (manifest.json) or of a "
        "run (checkpoints/best.ckpt), or the name of one in weights/ or runs/" + nearest(Path(given).name, _names())
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error's sentence that suggests the known name most like a misspelt one; empty if none is."""
    alike = {_plain(one): one for one in known}
    near = get_close_matches(_plain(name), alike, 1)
    return f"; did you mean {alike[near[0]]}?" if near else ""


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def _names() -> list[str]:
    """Names of the directories in the places of models."""
    return [place.name for root in _roots() for place in root.glob("*/")]


def model_name(given: str) -> str:
    """A name that distinguishes a model from others of its class: that of its run, export or checkpoint."""
    path = Path(given)
    return path.parent.parent.name if path.parent.name == "checkpoints" else path.stem


def find_source(given: str) -> Path:
    """The directory of the run or export, or the checkpoint, that a name or path stands for, as for `find_model`.

    Raises:
        SemcompError: no such model exists.
    """
    for place in _places(given):
        if place.is_file() or is_export(place) or (place / "config.yaml").is_file():
            return place
    return find_model(given)


def _places(given: str) -> list[Path]:
    given = expand_home(given)
    return [Path(given), *(root / given for root in _roots() if Path(given).name == given)]


def _roots() -> list[Path]:
    """Directories whose entries are known by their names."""
    return [Path("weights"), Path("runs"), _PACKAGE.parent / "weights"]


def find_checkpoint(given: str, run: Path) -> Path:
    """The file (or export) for `--ckpt_path`: `last` and `best` mean those of `run`; otherwise see `find_model`.

    Raises:
        SemcompError: it does not exist.
    """
    if given not in {"last", "best"}:
        return find_model(given)
    path = run / "checkpoints" / f"{given}.ckpt"
    if not path.is_file():
        last = path.with_name("last.ckpt")
        if given == "best" and last.is_file():
            raise SemcompError(f"{path}: no validated checkpoint; --ckpt_path=last takes {last.name}")
        raise SemcompError(
            f"no checkpoint to resume or to load in {path.parent}: {path.name} is not there; name a run that was "
            "fitted (semcomp COMMAND runs/NAME) or --ckpt_path=FILE"
        )
    return path


def released() -> dict[str, Path]:
    """The exports in `weights/` of a clone, by name; empty for an installed wheel."""
    return {file.parent.name: file.parent for file in sorted((_PACKAGE.parent / "weights").glob("*/manifest.json"))}


def snake_case(class_path: str) -> str:
    """`semcomp_pl.modules.PlainGAN` -> `plain_gan`."""
    name = class_path.rpartition(".")[2]
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
