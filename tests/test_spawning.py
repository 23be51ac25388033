"""Worker processes that end with the process that started them."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

PARENT = """
import os, sys, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from semcomp_pl.spawning import end_with_parent, without_main

pool = ProcessPoolExecutor(1, get_context("spawn"), end_with_parent)
with without_main():
    print(pool.submit(os.getpid).result(), flush=True)
pool.submit(time.sleep, 600).result()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_busy_worker_ends_with_its_parent(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        worker = int(parent.stdout.readline())
        assert running(worker)
        parent.send_signal(number)
        parent.wait()
        until = time.monotonic() + 30
        while running(worker) and time.monotonic() < until:
            time.sleep(0.05)
        ended = not running(worker)
        with suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
    assert ended


def running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
