"""Arguments of LightningCLI for the run, checkpoint or export that a command line starts with."""

import json
from pathlib import Path

from semcomp_pl.errors import SemcompError
from semcomp_pl.files.places import find_source, run_of_checkpoint

LINKED = ("num_classes", "class_names")  # set by the data module


def arguments_of(command: str, given: str) -> list[str]:
    """Arguments for a model that is named by a path or name.

    A run brings its settings and its checkpoint, `last` to go on with training and `best` for all else; a checkpoint
    within a run brings the run's settings; other checkpoints, and exports, bring the model alone.

    Raises:
        SemcompError: there is no such model, it cannot be trained on, or its file is damaged.
    """
    source = find_source(given)
    run = run_of_checkpoint(str(source)) if source.is_file() else source
    if run is None or not (run / "config.yaml").is_file():
        return _of_weights(command, source)
    checkpoint = str(source) if source.is_file() else "last" if command == "fit" else "best"
    parent, name = run.resolve().parent, run.resolve().name
    if parent.is_relative_to(here := Path.cwd()):  # as short as it was given, for all that is said and saved
        parent = parent.relative_to(here)
    return ["--config", str(run / "config.yaml"), "--runs", str(parent), "--name", name, "--ckpt_path", checkpoint]


def _of_weights(command: str, source: Path) -> list[str]:
    """Arguments for the model of an export, or of a checkpoint without the settings of its run."""
    from semcomp_pl.checkpoints.checkpoint import read_saved
    from semcomp_pl.checkpoints.models import check_known, class_path

    if command == "fit":
        raise SemcompError(
            f"{source}: weights without the settings of a run found, which training cannot go on from; start a new run "
            "from them with --model.init_from"
        )
    saved = read_saved(source)
    model = check_known(saved.model, source)
    arguments = {name: value for name, value in saved.hyper_parameters.items() if name not in LINKED}
    config = {"class_path": class_path(model), "init_args": arguments}
    run = run_of_checkpoint(str(source.resolve())) or source.resolve()
    name = run.name.removesuffix(".ckpt")
    return ["--model", json.dumps(config), "--ckpt_path", str(source), "--name", name]
