"""`semcomp fit-entropy`: fit the integer tables that a trained model's files are coded with, on a training split."""

from pathlib import Path

from semcomp_pl.cli.parser import Parser
from semcomp_pl.data import ImageDataModule
from semcomp_pl.errors import SemcompError
from semcomp_pl.files.places import find_model, with_configs
from semcomp_pl.training.entropy import STEPS, bits_per_image, fit_file


def main(args: list[str]) -> None:
    """Run `semcomp fit-entropy`.

    Raises:
        SemcompError: bad usage, unreadable model or data.
    """
    parser = Parser(prog="semcomp fit-entropy", description=__doc__)
    parser.add_argument("model", type=str, help="Run, checkpoint, export or its name; updated in place.")
    parser.add_argument("--config", action="config", help="YAML file of the data set.")
    parser.add_class_arguments(ImageDataModule, "data")
    parser.add_argument("--output", "-o", type=str | None, default=None, help="Write a copy here instead.")
    parser.add_argument("--steps", type=int, default=STEPS, help="Training steps of the context network.")
    parser.add_argument(
        "--passes",
        type=int | None,
        default=None,
        help="Passes over the augmented training split; as many as give four images for each step if not given.",
    )
    config = parser.parse_args(with_configs(args))
    path = find_model(config.model)
    target = None if config.output is None else Path(config.output)
    if target is not None and target.exists():
        raise SemcompError(f"{target}: exists; choose another --output, or leave it out to write {path} itself")
    data = parser.instantiate(config).data
    data.prepare_data()
    codec = fit_file(path, data, config.steps, config.passes, target)
    print(f"tables of {codec.fingerprint[:3].hex()} written to {target or path}")
    for name, bits in bits_per_image(codec, data).items():
        print(f"  {name:8} {bits / 8:8.1f} bytes per image of the validation split, symbols alone")
