"""`semcomp export`: write a trained model in a form to share."""

from semcomp_pl.cli.files import FilesParser


def main(args: list[str]) -> None:
    """Run `semcomp export`.

    Raises:
        SemcompError: bad usage, unreadable checkpoint, or the directory is not empty.
    """
    parser = FilesParser(
        "export",
        "Write a trained model in a form to share: half-precision weights, plain JSON and checksums, with the results "
        "of semcomp test for its run. Nothing in an export is executed when it is loaded.",
    )
    parser.add_argument("model", metavar="MODEL", help="run, checkpoint or export, or its name in weights/ or runs/")
    parser.add_argument("directory", metavar="DIR", help="directory to write to, new or empty")
    options = parser.parse_args(args)
    from semcomp_pl.checkpoints.export import export  # here, for it takes a while and --help needs none of it

    print(f"exported {options.model} to {export(options.model, options.directory)}")
