"""Start worker processes from any program: notebooks, scripts without a main guard, or standard input."""

import multiprocessing
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Any


@contextmanager
def without_main() -> Iterator[None]:
    """Keep worker processes started in this context from running the program's own script again.

    Python's `spawn` imports the main module in every worker, so a script without `if __name__ == "__main__"` would
    start over in each of them. The suite's workers need nothing from it.
    """
    main = sys.modules["__main__"]
    hidden: dict[str, Any] = {name: vars(main).pop(name) for name in ("__file__", "__spec__") if name in vars(main)}
    main.__spec__ = None
    try:
        yield
    finally:
        vars(main).update(hidden)


def end_with_parent() -> None:
    """End this worker process when the one that started it ends, however that ends.

    The workers of a `ProcessPoolExecutor` do not notice by themselves: they finish what they were given, and then wait
    forever.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
