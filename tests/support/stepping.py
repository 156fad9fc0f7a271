"""A step of another thread, in the middle of which a test goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from autodist_saved.control.gate import Gate
from tests.support.patience import PATIENCE_SECS


@contextmanager
def stepping(gate: Gate) -> Iterator[Callable[[], None]]:
    """Another thread within a step, until the function is called or the block ends."""
    inside, leave = threading.Event(), threading.Event()

    def run() -> None:
        with gate.step():
            inside.set()
            assert leave.wait(PATIENCE_SECS)

    thread = threading.Thread(target=run)
    thread.start()
    assert inside.wait(PATIENCE_SECS)

    def end() -> None:
        leave.set()
        thread.join()

    yield end
    end()
