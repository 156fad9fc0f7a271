"""Several reads in flight, in order, under one budget of memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")

IN_FLIGHT = 4
# What is read, or written, is held a second time on its way through TensorFlow.
HELD_BYTES_PER_BYTE = 2


def chunk_within(chunk_bytes: int, budget_bytes: int) -> int:
    """A chunk that is small against the budget, or reads would wait for each other."""
    return min(chunk_bytes, budget_bytes // (HELD_BYTES_PER_BYTE * IN_FLIGHT))


def prefetch(
    reads: Iterable[tuple[int, Callable[[], Result]]], *, budget_bytes: int, threads: int = IN_FLIGHT
) -> Generator[Result, None, None]:
    """Call every read and yield what they return, in their order, while later ones are under way already.

    Reads that are under way, wait to be yielded, or are with the consumer hold at most ``budget_bytes`` together; a
    single one that is larger runs alone. When a read raises, or the consumer stops early, those not begun never are,
    and those under way are waited for.

    Args:
        reads: bytes that a read will hold, and the read itself, which is called in a thread.
        budget_bytes: see above.
        threads: how many reads are under way at the most.
    """
    ahead: deque[tuple[int, Future[Result]]] = deque()
    held_bytes = 0
    with ThreadPoolExecutor(threads, thread_name_prefix="read") as pool:
        try:
            for nbytes, read in reads:
                while ahead and held_bytes + nbytes > budget_bytes:
                    done_bytes, future = ahead.popleft()
                    yield future.result()
                    held_bytes -= done_bytes
                ahead.append((nbytes, pool.submit(read)))
                held_bytes += nbytes
            while ahead:
                yield ahead.popleft()[1].result()
        finally:
            pool.shutdown(cancel_futures=True)
