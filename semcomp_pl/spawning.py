"""Start worker processes from any program: notebooks, scripts without a main guard, or standard input."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
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
