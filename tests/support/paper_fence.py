"""A fence that shuts nobody out: for members that share the process of the test."""

from __future__ import annotations

import threading
from collections.abc import Collection

from autodist_saved.fencing import Endpoint, FenceError


class PaperFence:
    """Says that it is up when it was put up, and notes what was asked of it."""

    def __init__(self, problem: str = "") -> None:
        """``problem`` is why it cannot be put up; empty where it can."""
        self.problem = problem
        self.is_up = threading.Event()
        self.allowed: list[frozenset[Endpoint]] = []
        self.newcomers: set[Endpoint] = set()

    def shut_out(self, allowed: Collection[Endpoint], timeout_secs: float) -> Collection[Endpoint]:
        """As :meth:`autodist_saved.fencing.Fence.shut_out`."""
        del timeout_secs
        if self.problem:
            raise FenceError(self.problem)
        self.allowed.append(frozenset(allowed))
        self.is_up.set()
        return ()

    def allow(self, *endpoints: Endpoint) -> None:
        """As :meth:`autodist_saved.fencing.Fence.allow`."""
        self.newcomers.update(endpoints)

    def lift(self) -> None:
        """As :meth:`autodist_saved.fencing.Fence.lift`."""
        self.is_up.clear()
