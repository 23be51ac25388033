"""Progress on terminals and in logs."""

import io
import re

import pytest
from rich.console import Console

from semcomp_pl.progress import Line, clock, duration, progress, speed, tracked


def shown(text: str, width: int, done: float | None = 0.5) -> list[str]:
    """The lines that a terminal shows last."""
    file = io.StringIO()
    with Line(console=Console(file=file, force_terminal=True, width=width, color_system=None)) as line:
        line.show(text, done)
    frames = re.split(r"\x1b\[\??\d*[a-zA-Z]|\r", file.getvalue())
    return [frame for frame in frames if text[:5] in frame]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_terminal_shows_one_line_with_a_bar_if_there_is_room(width: int) -> None:
    text = "epoch 12/100  45/96  3.2/s  1:23 left  adv 0.31  dist 0.42  psnr 24.1"
    for frame in shown(text, width):
        (line,) = frame.strip("\n").split("\n")
        assert len(line) <= width
        assert ("━" in line) == (width - len(text) >= 8)
    assert text in shown(text, 80)[0]


def test_elsewhere_there_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    with Line(seconds=0) as often, Line(seconds=1000) as seldom:
        for step in range(3):
            often.show(f"often {step}")
            seldom.show(f"seldom {step}")
    assert capsys.readouterr().err.splitlines() == ["often 0", "often 1", "often 2"]


def test_steps_are_counted_and_items_passed_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert [*tracked(iter("abc"), "letters", 3)] == ["a", "b", "c"]
    with progress(0, "nothing") as advance:
        advance(0)
    assert capsys.readouterr().err == ""


def test_times_and_speeds_in_words() -> None:
    assert [clock(seconds) for seconds in (0, 59.6, 725, 10_810)] == ["0:00", "1:00", "12:05", "3:00:10"]
    assert [duration(seconds) for seconds in (45, 200, 7500)] == ["45 s", "3 min", "2 h 5 min"]
    assert [speed(30, 10), speed(1, 4), speed(14_700, 10)] == ["3/s", "4 s each", "1470/s"]
