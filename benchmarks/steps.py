"""The training steps of a worker: when each of them began and ended."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from autodist_saved.control.gate import Gate


@dataclass(frozen=True)
class Interval:
    """Seconds on the monotonic clock, which the processes of a machine share."""

    began: float
    ended: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.ended - self.began


@dataclass(frozen=True)
class Pause:
    """The longest time between two steps, within an interval.

    Attributes:
        to_step: seconds from the end of one step to the beginning of the next.
        through_step: the same to the end of the next step, less a usual step. Longer where copying was only put off.
        over_at: when that next step began.
    """

    to_step: float
    through_step: float
    over_at: float

    @property
    def seconds(self) -> float:
        """The longer of the two."""
        return max(self.to_step, self.through_step)


class Steps:
    """Of one worker, in their order."""

    def __init__(self, began: npt.NDArray[np.float64], ended: npt.NDArray[np.float64]) -> None:
        """``began`` and ``ended``: float64 [steps], monotonic seconds."""
        self.began = began
        self.ended = ended

    @classmethod
    def record(cls, gate: Gate, step: Callable[[], object], is_over: Callable[[], bool]) -> Steps:
        """Take steps until it is over."""
        times = []
        while not is_over():
            with gate.step():
                began = time.monotonic()
                step()
                times.append((began, time.monotonic()))
        return cls(*np.array(times, np.float64).reshape(-1, 2).T)

    def write(self, path: Path) -> None:
        """Write them where :meth:`read` finds them."""
        np.save(path, [self.began, self.ended])

    @classmethod
    def read(cls, path: Path) -> Steps:
        """Those that another process has written."""
        return cls(*np.load(path))

    def pause(self, during: Interval, usual_step: float) -> Pause:
        """The pause that somebody else made."""
        first, last = np.searchsorted(self.ended, during.began), np.searchsorted(self.began, during.ended)
        gaps = self.began[first : last + 1] - self.ended[first - 1 : last]
        after = int(first + np.argmax(gaps))
        before = self.ended[after - 1]
        return Pause(
            float(self.began[after] - before),
            float(self.ended[after] - before - usual_step),
            float(self.began[after]),
        )

    def per_second(self, during: Interval) -> float:
        """How many ended within an interval, over its length."""
        ended = np.searchsorted(self.ended, [during.began, during.ended])
        return float(ended[1] - ended[0]) / during.seconds

    def usual_seconds(self, during: Interval) -> float:
        """Median length of those that began within an interval."""
        first, last = np.searchsorted(self.began, [during.began, during.ended])
        return statistics.median((self.ended - self.began)[first:last])
