"""Reading ahead: order, budget, and what happens when a read fails or the reader stops."""

from __future__ import annotations

import threading
from contextlib import closing
from functools import partial

import pytest

from autodist_saved.pipeline.prefetch import prefetch
from tests.support.patience import PATIENCE_SECS


def test_results_come_in_the_order_of_the_reads() -> None:
    first_may_end = threading.Event()

    def read(number: int) -> int:
        if number == 0:
            assert first_may_end.wait(PATIENCE_SECS)
        else:
            first_may_end.set()
        return number

    reads = ((1, partial(read, number)) for number in range(20))
    assert list(prefetch(reads, budget_bytes=100, threads=3)) == list(range(20))


def test_the_budget_bounds_what_is_begun_and_not_yet_given_back() -> None:
    begun: list[int] = []
    reads = ((10, partial(begun.append, number)) for number in range(50))
    with closing(prefetch(reads, budget_bytes=40, threads=8)) as results:
        for taken, _ in enumerate(results):
            assert len(begun) <= taken + 4


def test_reads_run_side_by_side() -> None:
    together = threading.Barrier(3)
    reads = ((1, partial(together.wait, 10)) for _ in range(3))
    assert sorted(prefetch(reads, budget_bytes=100, threads=3)) == [0, 1, 2]


def test_a_read_larger_than_the_budget_runs_alone() -> None:
    assert list(prefetch([(1, int), (1000, int), (1, int)], budget_bytes=10, threads=2)) == [0, 0, 0]


def test_an_error_comes_in_its_turn_and_ends_the_reading() -> None:
    begun: list[int] = []

    def read(number: int) -> int:
        begun.append(number)
        if number == 2:
            raise ConnectionError("gone")
        return number

    results = prefetch(((1, partial(read, number)) for number in range(1000)), budget_bytes=4, threads=2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ConnectionError, match="gone"):
        next(results)
    assert len(begun) < 10


def test_a_consumer_that_stops_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    with closing(prefetch(((1, int) for _ in range(100)), budget_bytes=5, threads=4)) as results:
        next(results)
    assert threading.active_count() == before
