"""`semcomp demo`: its options; `short_demo` and `long_demo` do the work."""

import shutil
from pathlib import Path

from semcomp_pl.cli.files import FilesParser
from semcomp_pl.errors import SemcompError
from semcomp_pl.files.atomic import make_output, write_text

NOTE = "about.txt"
_ABOUT = """Made by semcomp demo, which replaces this directory when it is run again.

first.png                a photograph at the same bytes, by models of the suite and by other formats
photograph.smc, .png     the file of one of these models, and what it decodes to
training.png             scenes before and after the training of a small GAN
comparison/report.html   all codecs on all images
training.yaml, comparison.yaml   settings of both, for semcomp fit and semcomp compare
"""


def main(args: list[str]) -> int:
    """Run the demo; returns the comparison's exit status.

    Raises:
        SemcompError: bad usage, no released models here, or the output directory holds something else.
    """
    if "--train" in args:
        from semcomp_pl.cli import long_demo

        return long_demo.main([arg for arg in args if arg != "--train"])
    parser = FilesParser(
        "demo", "Compress a photograph, train a small GAN for a minute, and compare codecs at the same bytes."
    )
    parser.add_argument("--output", "-o", default="demo", help="directory for all that it makes (default: demo)")
    parser.add_argument("--images", metavar="DIR", help="your own images, instead of scenes and photographs")
    parser.add_argument("--seconds", type=int, default=60, help="time of training (default: 60)")
    parser.add_argument("--train", action="store_true", help="train six models instead, which takes many minutes")
    options = parser.parse_args(args)
    output = Path(options.output)
    if output.is_dir() and any(output.iterdir()):
        if not (output / NOTE).is_file():
            raise SemcompError(f"{output}: not empty, and not of an earlier demo; choose another --output")
        shutil.rmtree(output)
    make_output(output)
    write_text(output / NOTE, _ABOUT)
    from semcomp_pl.cli import short_demo  # here, for --help needs none of it

    own = None if options.images is None else Path(options.images).resolve()
    return short_demo.run(output, own, options.seconds)
