"""Stands in for `semcomp fit`: logs, saves, resumes and stops at signals like it, but learns nothing.

Its checkpoint is the list of its steps, so that a step that is done twice is seen, and that none is lost or repeated
when it is killed: a line is written at once or not at all.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

SECONDS = 0.02
stopped = False


def note(number: int, frame: FrameType | None) -> None:
    """Stop after the step."""
    global stopped
    stopped = True


def begin(args: list[str]) -> tuple[Path, dict[str, str]]:
    """The run's directory, and the flags of the command that it was begun with."""
    if not args[0].startswith("-"):
        run = Path(args[0])
        return run, json.loads((run / "config.yaml").read_text())
    flags = dict(arg.removeprefix("--").split("=", 1) for arg in args)
    run = Path(flags["runs"], flags["name"])
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(json.dumps(flags))
    (run / "metrics.csv").write_text("epoch,val/psnr,val/bpp_bound\n")
    return run, flags


def main() -> int:
    """Train for `steps` steps to `quality`; with `fail`, end with an error after the first one."""
    signal.signal(signal.SIGTERM, note)
    run, flags = begin(sys.argv[2:])
    last = run / "checkpoints" / "last.ckpt"
    done = len(last.read_text().splitlines()) if last.is_file() else 0
    last.parent.mkdir(exist_ok=True)
    for step in range(done, int(flags.get("steps", 4))):
        time.sleep(SECONDS)
        value = float(flags["quality"]) * (step + 1)
        for file, line in (run / "metrics.csv", f"{step},{value},0.1"), (last, f"{step}"):
            with file.open("a") as lines:
                lines.write(line + "\n")
        if flags.get("fail") == flags["quality"]:
            print("error: it went wrong\n", file=sys.stderr)
            return 2
        if stopped:
            return os.EX_TEMPFAIL
    return 0


if __name__ == "__main__":
    sys.exit(main())
