"""The times of an export: relative to its beginning, in order, of what has gone well."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from autodist_saved.report.timeline import Stopwatch


def test_phases_come_in_the_order_in_which_they_began() -> None:
    before = datetime.now(UTC)
    watch = Stopwatch()
    with watch.phase("stream"), watch.phase("release"):
        pass
    with watch.phase("stream"):
        pass
    intervals = watch.intervals
    assert [interval.phase for interval in intervals] == ["stream", "release", "stream"]
    outer, inner, later = intervals
    assert 0 <= outer.begin <= inner.begin <= inner.end <= outer.end <= later.begin <= later.end
    assert before <= watch.started <= datetime.now(UTC)


def test_a_phase_that_has_failed_has_no_time() -> None:
    watch = Stopwatch()
    with pytest.raises(ArithmeticError), watch.phase("stage"):
        raise ArithmeticError
    assert watch.intervals == ()
