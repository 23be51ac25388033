"""A plugin of pytest (`-p cuda_tests`) that keeps only the tests that are skipped for want of a CUDA device."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests whose `skipif` says that they need CUDA."""
    items[:] = [
        item for item in items if any("CUDA" in str(mark.kwargs.get("reason")) for mark in item.iter_markers("skipif"))
    ]
