"""`semcomp samples`: write images to try the other commands on."""

from pathlib import Path

from semcomp_pl.cli.files import FilesParser


def main(args: list[str]) -> None:
    """Run `semcomp samples`.

    Raises:
        SemcompError: bad usage, scikit-image is missing, or a file cannot be written.
    """
    parser = FilesParser(
        "samples",
        "Write images to try the other commands on: procedural street scenes, and free photographs from scikit-image "
        "(pip install 'semcomp_pl[demo]').",
    )
    parser.add_argument("directory", metavar="DIR", help="directory to write to, made if missing")
    parser.add_argument("--scenes", type=int, default=4, help="number of street scenes (default: 4)")
    parser.add_argument("--no-photographs", action="store_true", help="write the scenes alone")
    options = parser.parse_args(args)
    from semcomp_pl.data.samples import PHOTOGRAPHS, write_samples  # here, for --help needs none of it

    directory = Path(options.directory)
    written = write_samples(directory, options.scenes, not options.no_photographs)
    print(f"{len(written)} images in {directory}: {options.scenes} street scenes by this suite (Apache-2.0)")
    for file in written[options.scenes :]:
        print(f"  {file.name:14} {PHOTOGRAPHS[file.stem][1]}")
