"""How long `semcomp --help` and `semcomp --version` take: the target is below half a second."""

import platform
import statistics
import subprocess
import sys
import time

from semcomp_pl import __version__


def seconds(*args: str, runs: int = 10) -> list[float]:
    """Wall times of a command, after one that fills the file cache."""
    command = [sys.executable, "-m", "semcomp_pl", *args]
    times = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return times[1:]


def main() -> None:
    """Print machine, versions, and the median of ten runs each."""
    print(f"{platform.platform()}, {platform.machine()}, Python {platform.python_version()}, semcomp_pl {__version__}")
    for flag in ("--help", "--version"):
        times = seconds(flag)
        print(f"semcomp {flag}: median {statistics.median(times):.3f} s, slowest {max(times):.3f} s of {len(times)}")


if __name__ == "__main__":
    main()
