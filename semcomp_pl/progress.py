"""Progress on standard error: one line, brought up to date on terminals, and written now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Self, TypeVar, cast

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.text import Text

T = TypeVar("T")
_GAP = 2


class Line:
    """A line of progress, which disappears from a terminal when the context ends.

    Args:
        seconds: Least time between two lines where there is no terminal; the first is due after that time too.
        console: Where to print.
    """

    def __init__(self, seconds: float = 30.0, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self.seconds = seconds
        self._printed = time.monotonic()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            # what is printed meanwhile stands above the line, but what is piped stays in the pipe
            shared = sys.stdout.isatty()
            self._live = Live("", console=self.console, transient=True, redirect_stdout=shared)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def show(self, text: str, done: float | None = None) -> None:
        """Show a text instead of the last one.

        Args:
            text: What to show; a terminal cuts off what does not fit.
            done: Share that is done, 0 to 1, for a bar in front of the text if there is room for one.
        """
        if self._live is not None:
            self._live.update(_Shown(text, done))
        elif time.monotonic() - self._printed >= self.seconds:
            self._printed = time.monotonic()
            print(text, file=sys.stderr if self.console.stderr else self.console.file, flush=True)


class _Shown:
    """A text of one line behind a bar."""

    def __init__(self, text: str, done: float | None) -> None:
        self.text, self.done = text, done

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = min(24, options.max_width - len(self.text) - _GAP)
        if self.done is not None and room >= 6:
            yield from console.render(ProgressBar(1.0, self.done, room), options.update_width(room))
            yield Segment(" " * _GAP)
        yield Text(self.text, no_wrap=True, overflow="ellipsis")


@contextmanager
def progress(total: int, title: str) -> Iterator[Callable[[int], None]]:
    """Show how many of `total` steps are done, their speed and the time left; yields a function that adds steps."""
    started, done = time.monotonic(), 0
    with Line() as line:

        def advance(steps: int) -> None:
            nonlocal done
            done += steps
            seconds = time.monotonic() - started
            rate = f"  {speed(done, seconds)}  {clock(seconds * (total - done) / done)} left" if done else ""
            line.show(f"{title}  {done}/{total}{rate}", done / max(total, 1))

        advance(0)
        yield advance


def tracked(items: Iterable[T], title: str, total: int | None = None) -> Iterator[T]:
    """The items, with progress as in `progress` while they are consumed."""
    count = len(cast(Sized, items)) if total is None else total
    with progress(count, title) as advance:
        for item in items:
            yield item
            advance(1)


def speed(steps: float, seconds: float) -> str:
    """Steps per second, or seconds per step where those are slow."""
    rate = steps / max(seconds, 1e-9)
    if rate >= 100:
        return f"{rate:.0f}/s"
    return f"{rate:.3g}/s" if rate >= 1 else f"{1 / rate:.3g} s each"


def clock(seconds: float) -> str:
    """`0:45`, `12:05` or `3:00:10`."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def duration(seconds: float) -> str:
    """A time in words: `45 s`, `3 min`, `2 h 5 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
