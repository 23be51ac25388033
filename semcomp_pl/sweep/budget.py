"""How long each training may take, so that all of a sweep fit into a number of minutes."""

import math
import time
from datetime import timedelta

from semcomp_pl.errors import SemcompError

_SHORTEST = 1
_CALM = 0.98
"""Part of the time that is given away, so that a second's delay does not make the shares of trainings unequal."""


class Budget:
    """Divides a sweep's time among its trainings: all get the same, or a little less if the reserve was too small.

    When the time does not suffice for all any more, the next ones get what those before them got, as long as there is
    so much time left; the rest is for another call.

    Trainings go in rounds of `workers`. Each round needs a reserve beside the time of training: for starting, for the
    last validation, and for fitting the entropy model.

    Args:
        minutes: Time of the whole sweep from now on.
        reserve: Seconds of the reserve; raised when a training turns out to need more.
        workers: Trainings side by side.
        left: Number of trainings that are not done.
        before: Seconds that earlier trainings of the sweep were given; None if there were none.

    Raises:
        SemcompError: there is no time for training.
    """

    def __init__(self, minutes: float, reserve: float, workers: int, left: int, before: float | None) -> None:
        self.deadline, self.reserve, self.workers = time.monotonic() + 60 * minutes, reserve, workers
        self.share = min(before or math.inf, math.floor(_CALM * self._share(left)))
        if self.share < _SHORTEST and before is not None and before <= self._share(1):
            self.share = before  # for as many as the time suffices for
        if left and self.share < _SHORTEST:
            raise SemcompError(
                f"--max-minutes {minutes:g} found for {left} trainings, {workers} at a time: {60 * minutes:.0f} s in "
                f"{self._rounds(left)} rounds, each with {reserve:g} s for start, validation and entropy model, leave "
                "no time to train; give more minutes, or --workers, or a smaller --reserve"
            )

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() > self.deadline

    def next(self, waiting: int) -> timedelta | None:
        """Time of the next training; None if too little is left.

        Args:
            waiting: Number of trainings that have not begun, with the next one.
        """
        share = min(self.share, math.floor(self._share(waiting)))
        if share < _SHORTEST <= self.share <= self._share(1):
            share = self.share
        return timedelta(seconds=share) if share >= _SHORTEST else None

    def learn(self, seconds: float, given: float) -> None:
        """Raise the reserve if a training with `given` seconds has taken more than it allows for."""
        self.reserve = max(self.reserve, seconds - given)

    def _rounds(self, left: int) -> int:
        return max(1, math.ceil(left / self.workers))

    def _share(self, left: int) -> float:
        return (self.deadline - time.monotonic()) / self._rounds(left) - self.reserve
