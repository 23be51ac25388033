"""`semcomp` itself: what it answers before any work, and how it ends."""

import subprocess
import sys

import pytest

from semcomp_pl import __version__
from semcomp_pl.cli import main


@pytest.mark.parametrize(
    ("args", "status", "answer"),
    [
        (["--help"], 0, "usage: semcomp COMMAND"),
        ([], 2, "usage: semcomp COMMAND"),
        (["--version"], 0, f"semcomp_pl {__version__}"),
        (["compres"], 2, "unknown command 'compres'; semcomp --help lists them; did you mean compress?"),
        (["fit"], 2, "fit needs what to train: for example --trainer cpu --data streets --model plain_gan"),
        (["test"], 2, "test needs a MODEL: a run, checkpoint or export, or the name of one"),
        (
            ["compress", "a.png", "--modl=x"],
            2,
            "--modl; semcomp compress --help shows the options; did you mean --model?",
        ),
        (["export"], 2, "the following arguments are required: MODEL, DIR; semcomp export --help shows the options"),
        (["report"], 2, "the following arguments are required: DIR"),
        (["test", "nowhere"], 2, "nowhere: no such model"),
        (["fit", "--data=streetz"], 2, "--data streetz: no such name, expected one of camvid,"),
        (["fit", "--model.filters=None"], 2, "give a number"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_it_answers_without_importing_torch(args: list[str], status: int, answer: str) -> None:
    code = f"import sys; from semcomp_pl.cli import main; s = main({args}); print('torch' in sys.modules); sys.exit(s)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (status, "False")
    assert answer in done.stdout + done.stderr


def test_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "semcomp_pl", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"semcomp_pl {__version__}\n"


def test_debug_shows_where_an_error_came_from() -> None:
    with pytest.raises(ValueError, match="no such model"):
        main(["compress", "a.png", "--model", "nowhere", "--debug"])
