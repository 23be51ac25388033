"""`semcomp decompress`: files to images."""

from semcomp_pl.cli.files import FilesParser, Progress, is_compressed, load_codec, read_bytes
from semcomp_pl.coding.container import MAX_PIXELS
from semcomp_pl.errors import SemcompError
from semcomp_pl.files.outputs import expand, plan


def main(args: list[str]) -> int:
    """Run `semcomp decompress`; returns 3 if a file could not be decompressed."""
    parser = FilesParser("decompress", "Decompress .smc files to PNG images.")
    parser.add_argument("files", nargs="+", metavar="FILE", help="file, directory or pattern")
    parser.add_argument("--max-pixels", type=int, default=MAX_PIXELS, help="refuse larger images (default: 2^26)")
    parser.add_argument("--steps", type=int, help="steps of the sampler, for models that draw pictures")
    parser.add_codec_options()
    options = parser.parse_args(args)
    jobs = plan(expand(options.files, is_compressed), options.output, ".png", force=options.force)
    codec = load_codec(options)
    from PIL import Image

    from semcomp_pl.codecs.pixels import to_bytes

    progress = Progress(len(jobs), options.quiet)
    with progress.bar:
        for job in jobs:
            try:
                pixels = to_bytes(codec.decompress(read_bytes(job.source)))
            except SemcompError as error:
                progress.fail(job.source, error)
                continue
            image = Image.fromarray(pixels.permute(1, 2, 0).numpy())
            if progress.write(job, lambda file, image=image: image.save(file, "PNG")):  # type: ignore[misc]
                progress.done(f"{job.source} -> {job.target}  {image.width}x{image.height}")
    return 3 if progress.failed else 0
