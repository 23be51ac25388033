"""Running a comparison: measure what is missing, then summarise and report."""

from pathlib import Path

from filelock import FileLock
from lightning.pytorch.loggers import WandbLogger
from rich.console import Console

from semcomp_pl.compare.config import Settings
from semcomp_pl.compare.measure import parts
from semcomp_pl.compare.measure.plan import Plan, prepare
from semcomp_pl.compare.measure.pool import measure, take_times
from semcomp_pl.compare.measure.ranks import Share
from semcomp_pl.compare.report.figures import write_figure, write_figures
from semcomp_pl.compare.report.page import write_report
from semcomp_pl.compare.report.sheet import reconstructions
from semcomp_pl.compare.report.terminal import show
from semcomp_pl.compare.report.tracking import GROUP, track
from semcomp_pl.compare.rows import Results
from semcomp_pl.compare.statistics.summarise import summarise
from semcomp_pl.compare.summary import Summary
from semcomp_pl.data import ImageDataModule
from semcomp_pl.files.atomic import make_output


def compare(
    settings: Settings, data: ImageDataModule, logger: WandbLogger | None = None, config: str = "", command: str = ""
) -> int:
    """Measure what is missing; the first process then merges results, measures times and writes the report.

    Args:
        settings: Codecs to compare, and how.
        data: Images to compare them on.
        logger: W&B logger that also receives the summary.
        config: Settings and data as YAML, saved to repeat the comparison.
        command: Command line, saved as provenance.

    Returns:
        Exit status: 3 if a pair of codec and image failed, else 0.

    Raises:
        SemcompError: codecs or data are unusable, the judge is not allowed for one of the codecs, or the directory
            belongs to another comparison.
    """
    share = Share.of_environment()
    with share.together():
        plan = fill(settings, data, config, command)
        return share.once(lambda: _finish(plan, settings, logger))


def fill(settings: Settings, data: ImageDataModule, config: str = "", command: str = "") -> Plan:
    """Measure this process's share of what is missing, and write it to part files.

    Raises:
        SemcompError: as for `compare`.
    """
    share, directory = Share.of_environment(), Path(settings.output)
    make_output(directory)
    with FileLock(directory / ".lock"):
        data.prepare_data()
        plan, provenance, loaded = prepare(settings, data, share, command)
        parts.claim(directory, provenance, config)
    measure(plan, settings.workers, share, loaded)
    return plan


def render(directory: Path, results: Results) -> Summary:
    """Write summary, figures and report of results, which may be incomplete.

    Raises:
        SemcompError: a file cannot be written.
    """
    settings = results.provenance.get("settings", {})
    summary = summarise(results, **{name: settings[name] for name in ("draws", "seed", "targets") if name in settings})
    summary.write(directory)
    make_output(directory / "figures")
    write_figures(summary, directory / "figures")
    sheet = reconstructions(directory, summary, results) if settings.get("pictures") else None
    if sheet is not None:
        write_figure(sheet, directory / "figures" / "reconstructions")
    page = write_report(directory, results, summary, pictures=settings.get("pictures", 20))
    show(summary, page)
    return summary


def _finish(plan: Plan, settings: Settings, logger: WandbLogger | None) -> int:
    directory = plan.directory
    with FileLock(directory / ".lock"):
        take_times(plan, settings.timed_images)
        results = parts.collect(directory)
        summary = render(directory, results)
        if logger is None and settings.wandb.project is not None:
            given = settings.wandb
            name = given.name or directory.resolve().name
            logger = WandbLogger(
                name=name, save_dir=str(directory), project=given.project, entity=given.entity, **GROUP
            )
        if logger is not None:
            track(summary, directory, logger)
    failed = parts.faults(results.rows)
    if failed:
        file = directory / "results.parquet"
        Console(stderr=True).print(f"{failed} pairs failed; their errors stand in {file}", highlight=False)
    return 3 if failed else 0
