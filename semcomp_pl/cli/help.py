"""Help of `fit`, `validate`, `test`, `predict` and `compare`: the suite's options first, the trainer's last."""

import argparse
from collections.abc import Mapping
from typing import Any, cast

from lightning.pytorch.cli import LightningArgumentParser

_TITLES = {
    "options": "run",
    "ckpt_path": "checkpoint",
    "data": "data; --data.source.help CLASS shows the options of a data set such as Folder",
    "model": "model; --model.help CLASS shows the options of a model such as PlainGAN",
    "trainer": "Lightning's trainer",
}
"""Titles of the groups of options, in order, by what the names of their first options start with."""
_COMPARISON = {
    "models": "models",
    "options": "options",
    "output": "comparison",
    "data": _TITLES["data"],
    "wandb": "W&B run to send the summary to",
}
_CHECKPOINT = {
    "fit": "Checkpoint to go on from: last, which is the run's, or a path.",
    "other": "Weights: best or last, which are the run's, or a run, checkpoint, export or name of one.",
}
_WHAT = {
    "fit": "Train a model, or go on with a RUN.",
    "validate": "Measure a model on the validation split; files are not written, so rates are bounds.",
    "test": "Measure a model on the test split, by files written and decoded.",
    "predict": "Write a model's reconstructions (or label maps) of the test split.",
}


def texts(command: str) -> dict[str, str]:
    """Usage and description of a command, as arguments of its parser."""
    given = "[RUN]" if command == "fit" else "[MODEL]"
    example = {"fit": "--trainer=cpu --data=streets --model=plain_gan"}.get(command, "runs/plain_gan")
    return {
        "usage": f"semcomp {command} {given} [--KIND=NAME | --config FILE | --OPTION=VALUE] ...",
        "description": f"{_WHAT[command]} For example: semcomp {command} {example}. --KIND=NAME stands for --config "
        "configs/KIND/NAME.yaml, where KIND is data, logger, model, size or trainer. Files are merged from left to "
        "right, and options come after all of them.",
    }


def arrange(parser: LightningArgumentParser, command: str) -> None:
    """Put the groups of a command's options in order, with titles and texts that speak of the suite."""
    _order(parser, _TITLES)
    for action in parser._actions:
        if action.dest == "ckpt_path":
            action.help = _CHECKPOINT.get(command, _CHECKPOINT["other"])
        elif action.dest == "weights_only":  # always true
            action.help = argparse.SUPPRESS


def arrange_comparison(parser: LightningArgumentParser) -> None:
    """Put the groups of `semcomp compare` in order."""
    _order(parser, _COMPARISON)


def _order(parser: LightningArgumentParser, titles: Mapping[str, str]) -> None:
    for group in parser._action_groups:
        if group._group_actions and group.title != "Linked arguments":
            group.title = titles[_kind(group, titles)]
    groups: list[Any] = cast(Any, parser._action_groups)
    groups.sort(key=lambda group: [*titles].index(_kind(group, titles)))


def _kind(group: "argparse._ArgumentGroup", titles: Mapping[str, str]) -> str:
    """The key in `titles` of a group of options."""
    name = next((action.dest.partition(".")[0] for action in group._group_actions), "")
    return name if name in titles else "options"
