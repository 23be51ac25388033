"""`semcomp report`: write summary, figures and report of a comparison."""

from pathlib import Path

from semcomp_pl.cli.files import FilesParser


def main(args: list[str]) -> None:
    """Run `semcomp report`.

    Raises:
        SemcompError: bad usage, or the directory holds no comparison.
    """
    parser = FilesParser(
        "report",
        "Write summary.json, summary.csv, figures/, report.md and report.html of a comparison from the rows measured "
        "so far, finished or not. It measures nothing and needs no model.",
    )
    parser.add_argument("directory", metavar="DIR", type=Path, help="output directory of semcomp compare")
    directory = parser.parse_args(args).directory
    from semcomp_pl.compare.measure.parts import collect  # here, for it takes a while and --help needs none of it
    from semcomp_pl.compare.run import render

    render(directory, collect(directory))
