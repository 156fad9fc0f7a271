"""Steps per second, as people read them."""

from __future__ import annotations

import pytest

from autodist_saved.control.rate import Rate


def test_the_rate_is_over_some_seconds_and_not_between_two_messages() -> None:
    looks = ((100.0, 7), (100.1, 8), (102.0, 27), (102.001, 28), (104.0, 47), (104.1, 3), (106.1, 23))
    moments = iter(now for now, _ in looks)
    rate = Rate(lambda: next(moments))
    rates = [rate.of(steps) for _, steps in looks]
    assert rates[:2] == [None, None], "nobody knows yet"
    assert rates[2] == 10.0
    assert rates[3] == pytest.approx(10.5, abs=0.1), "one step in a millisecond is not a thousand in a second"
    assert rates[4] == 10.0
    assert rates[5:] == [None, 10.0], "another process counts from its own beginning"
