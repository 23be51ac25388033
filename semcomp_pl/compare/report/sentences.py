"""What a summary holds as values, in the words of a report."""

from semcomp_pl.compare.summary import Caution, Entry, Summary


def reason(entry: Entry, summary: Summary, target: float) -> str:
    """Why a codec has no point at a target rate, in bits per pixel; empty where it has one."""
    if entry.status == "no_point":
        return f"no point at or below {target:g} bpp"
    if entry.tried is None:
        return ""
    point = summary.point(entry.codec, entry.tried)
    images = f"{point.lacking} of {point.images + point.lacking} images"
    return f"{images} failed at {point.point}" if entry.status == "failed" else f"no file for {images} at {point.point}"


def warning(one: Caution) -> str:
    """A caution as a sentence, after the codec and point that it is about."""
    images = f"{one.images} of {one.of} images"
    text = {
        "no_ceiling": "no originals were judged: there is no ceiling",
        "unfinished": f"unfinished: {images} so far",
        "incomplete": f"{images} so far",
        "no_file": f"no file for {images}, so it stands at no target rate",
        "failed": f"{images} failed, so it stands at no target rate",
        "one_image": "one image only: there are no intervals",
    }[one.problem]
    return text if one.codec is None else f"{one.codec}, {one.point}: {text}"
