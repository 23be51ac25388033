"""What a summary holds as values, in the words of a report."""

from semcomp_pl.compare.summary import Caution, Entry, Order, Summary


def reason(entry: Entry, summary: Summary, target: float) -> str:
    """Why a codec has no point at a target rate, in bits per pixel; empty where it has one."""
    if entry.status == "no_point":
        return f"no point at or below {target:g} bpp"
    if entry.tried is None:
        return ""
    point = summary.point(entry.codec, entry.tried)
    of = point.images + point.lacking
    if entry.status == "failed":
        return f"{point.lacking} of {of} images failed at {point.point}"
    if not point.images:
        return f"cannot reach {target:g} bpp: its smallest files are larger"
    return f"reaches {target:g} bpp for {point.images} of {of} images only"


def warning(one: Caution) -> str:
    """A caution as a sentence, after the codec and point that it is about."""
    images = f"{one.images} of {one.of} images"
    text = {
        "no_ceiling": "no originals were judged: there is no ceiling",
        "unfinished": f"unfinished: {images} so far",
        "incomplete": f"{images} so far",
        "no_file": f"cannot reach its target for {images}, so it stands at no target rate",
        "failed": f"{images} failed, so it stands at no target rate",
        "one_image": "one image only: there are no intervals",
    }[one.problem]
    return text if one.codec is None else f"{one.codec}, {one.point}: {text}"


def panel(summary: Summary) -> str:
    """Whose mean the figures of meaning are, and who stays out of it."""
    kin = [one.name for one in summary.judges if one.relatives]
    if not kin:
        return "its figures are their means."
    if len(kin) == len(summary.judges):
        return "its figures are their means, and none is a stranger to the segmenters of all codecs."
    strangers, relatives = ", ".join(summary.strangers), ", ".join(kin)
    return f"its figures are means of {strangers}; {relatives} is of a kind with some codec's segmenter."


def order(one: Order) -> str:
    """How far the judges agree on the order of the codecs."""
    ends = "" if one.tau.low is None or one.tau.high is None else f" [{one.tau.low:.2f}, {one.tau.high:.2f}]"
    return (
        f"Kendall's tau of their orders {one.tau.value:.2f}{ends}; they order {one.alike} of {one.pairs} pairs of "
        f"codecs alike, and are sure of {one.agreed}"
    )
