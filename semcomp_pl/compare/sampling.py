"""Which few of many images are shown or timed."""

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def evenly(items: Sequence[Item], count: int) -> list[Item]:
    """The first item and others at equal distances, `count` in all; every item if there are no more than that."""
    count = min(count, len(items))
    return [items[place * len(items) // count] for place in range(count)]
