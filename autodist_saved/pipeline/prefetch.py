"""Several reads in flight, in order, under one budget of memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")

IN_FLIGHT = 4
# TensorFlow holds what is read, or written, a second time on its way.
HELD_BYTES_PER_BYTE = 2


def chunk_within(chunk_bytes: int, budget_bytes: int) -> int:
    """The chunk size in bytes: no larger than lets several reads fit into the budget."""
    return min(chunk_bytes, budget_bytes // (HELD_BYTES_PER_BYTE * IN_FLIGHT))


def prefetch(
    reads: Iterable[tuple[int, Callable[[], Result]]], *, budget_bytes: int, threads: int = IN_FLIGHT
) -> Generator[Result, None, None]:
    """Call every read and yield the results in order, while later reads are already under way.

    All results that are being read, wait to be yielded, or are with the consumer hold at most ``budget_bytes``. A
    read that is larger than the budget runs alone. When a read raises, or the consumer stops early, no further read
    begins, and this waits for those under way.

    Args:
        reads: for each read the bytes that its result holds, and the function, which a thread calls.
        budget_bytes: see above.
        threads: how many reads may be under way.
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
