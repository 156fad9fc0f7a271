"""The gate: steps are whole or not begun while it is parked, however many threads take them."""

from __future__ import annotations

import threading
import time

import pytest

from autodist_saved.control import gate as gate_module
from autodist_saved.control.gate import Gate, Standing
from tests.support.stepping import stepping

LONG = 60.0


@pytest.fixture
def gate() -> Gate:
    return Gate()


def test_steps_are_counted_and_those_within_a_step_are_part_of_it(gate: Gate) -> None:
    for _ in range(3):
        with gate.step(), gate.step():
            assert gate.is_inside
    assert not gate.is_inside
    assert gate.steps == 3


def test_a_step_that_raises_is_not_counted_and_drains_before_the_gate_is_parked(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate_module, "DRAIN_SECS", 0.3)
    with pytest.raises(ArithmeticError), gate.step():
        raise ArithmeticError
    ended = time.monotonic()
    assert gate.steps == 0
    told: list[Standing] = []
    while gate.standing is not Standing.PARKED:
        gate.park(1, LONG, told.append)
    assert time.monotonic() >= ended + 0.3 - 0.05
    assert (told[0], told[-1]) == (Standing.PARKING, Standing.PARKED)


def test_what_has_to_wait_for_the_end_of_a_step_is_called_then_and_once(gate: Gate) -> None:
    called: list[int] = []
    with gate.step():
        for number in range(3):
            gate.after_step("key", lambda number=number: called.append(number))
        with gate.step():
            pass
        assert called == []
    assert called == [2]
    with gate.step():
        pass
    assert called == [2]


def test_nothing_is_called_after_a_step_that_raises(gate: Gate) -> None:
    called: list[int] = []

    def fail() -> None:
        gate.after_step("key", lambda: called.append(1))
        raise ArithmeticError

    with pytest.raises(ArithmeticError), gate.step():
        fail()
    with gate.step():
        pass
    assert called == []


def test_the_steps_of_threads_that_have_ended_still_count(gate: Gate) -> None:
    for _ in range(5):
        with stepping(gate):
            pass
    assert gate.steps == 5
    assert len(gate._passages) == 1, "and are not kept for ever"


def test_other_threads_that_train_are_known_until_they_end(gate: Gate) -> None:
    with gate.step():
        pass
    assert not gate.others_train
    begun, over = threading.Event(), threading.Event()

    def run() -> None:
        with gate.step():
            pass
        begun.set()
        over.wait(LONG)

    thread = threading.Thread(target=run)
    thread.start()
    assert begun.wait(LONG)
    assert gate.others_train
    over.set()
    thread.join()
    assert not gate.others_train


def test_it_is_parked_once_every_step_under_way_is_over(gate: Gate) -> None:
    told: list[Standing] = []
    with stepping(gate) as end_first, stepping(gate) as end_second:
        gate.park(1, LONG, told.append)
        assert gate.standing is Standing.PARKING
        end_first()
        assert not gate.wait_until_parked(0)
        end_second()
        assert gate.wait_until_parked(LONG)
    assert told == [Standing.PARKING, Standing.PARKED]


def test_a_step_waits_until_the_release(gate: Gate) -> None:
    gate.park(1, LONG)
    stepped = threading.Event()

    def run() -> None:
        with gate.step():
            stepped.set()

    thread = threading.Thread(target=run)
    thread.start()
    assert not stepped.wait(0.2)
    assert gate.standing is Standing.PARKED
    assert gate.release(1)
    assert stepped.wait(LONG)
    thread.join()
    assert gate.standing is Standing.TRAINING


def test_without_another_word_steps_go_on_when_the_lease_is_over(gate: Gate) -> None:
    told: list[Standing] = []
    began = time.monotonic()
    gate.park(1, 0.3, told.append)
    with gate.step():
        assert time.monotonic() - began >= 0.3
    assert told == [Standing.PARKED, Standing.LEFT]
    assert not gate.release(1), "the chief must not believe that it was parked all the time"


def test_a_lease_can_be_renewed(gate: Gate) -> None:
    told: list[Standing] = []
    gate.park(1, 0.2, told.append)
    began = time.monotonic()
    gate.park(1, 0.6, told.append)
    with gate.step():
        assert time.monotonic() - began >= 0.6
    assert told == [Standing.PARKED, Standing.PARKED, Standing.LEFT]


def test_a_lease_that_is_over_is_not_renewed_for_steps_may_have_gone_on(gate: Gate) -> None:
    told: list[Standing] = []
    gate.park(1, 0.0, told.append)
    gate.park(1, LONG, told.append)
    assert told[-1] is Standing.LEFT
    assert gate.standing is Standing.TRAINING
    with gate.step():
        pass
    gate.park(1, LONG, told.append)
    assert told[-1] is Standing.LEFT
    gate.park(2, LONG, told.append)
    assert told[-1] is Standing.PARKED


def test_another_cut_takes_the_place_of_the_one_before(gate: Gate) -> None:
    gate.park(1, LONG)
    gate.park(2, LONG)
    assert not gate.release(1)
    assert gate.standing is Standing.PARKED
    assert gate.release(2)


def test_no_step_is_ever_seen_half_done(gate: Gate) -> None:
    halves, over = [0, 0], threading.Event()
    lock = threading.Lock()

    def train() -> None:
        while not over.is_set():
            with gate.step():
                with lock:
                    halves[0] += 1
                with lock:
                    halves[1] += 1

    threads = [threading.Thread(target=train) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for epoch in range(1, 300):
            gate.park(epoch, LONG)
            assert gate.wait_until_parked(LONG)
            assert halves == [gate.steps] * 2
            assert gate.release(epoch)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert gate.steps > 300


# ---- the training lease --------------------------------------------------------------------------------------


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_no_step_begins_after_the_lease_and_the_chiefs_next_word_lets_it_go_on() -> None:
    clock = Clock()
    gate = Gate(clock)
    gate.begin_lease()
    gate.heard(100.0, 10.0)
    clock.now = 109.9
    with gate.step():
        clock.now = 110.0  # one that has begun goes on, and steps within it
        with gate.step():
            pass
    stepped = threading.Event()

    def run() -> None:
        with gate.step():
            stepped.set()

    thread = threading.Thread(target=run)
    thread.start()
    assert not stepped.wait(0.2)
    gate.heard(99.0, 10.0)  # an old word
    assert not stepped.wait(0.2)
    assert gate.standing is Standing.TRAINING, "no cut is on"
    gate.heard(110.0, 10.0)
    assert stepped.wait(LONG)
    thread.join()


def test_before_the_first_answer_no_step_begins_and_a_lease_is_begun_once() -> None:
    gate = Gate(Clock())
    gate.begin_lease()
    assert not begins(gate)
    gate.heard(100.0, 10.0)
    gate.begin_lease()
    assert begins(gate)


def test_a_session_that_was_made_anew_needs_a_word_of_the_chief_that_is_younger() -> None:
    clock = Clock()
    gate = Gate(clock)
    gate.begin_lease()
    gate.heard(100.0, 10.0)
    clock.now = 101.0
    gate.require_word()
    gate.heard(100.5, 10.0)
    assert not begins(gate)
    gate.heard(101.0, 10.0)
    assert begins(gate)


def test_a_process_without_a_chief_needs_no_lease(gate: Gate) -> None:
    gate.require_word()
    with gate.step():
        pass


def test_when_the_job_has_failed_steps_that_wait_and_later_ones_raise_why() -> None:
    gate, raised = Gate(Clock()), threading.Event()
    gate.begin_lease()

    def run() -> None:
        with pytest.raises(ConnectionError, match="gone"), gate.step():
            pass
        raised.set()

    thread = threading.Thread(target=run)
    thread.start()
    gate.end_lease(ConnectionError("gone"))
    assert raised.wait(LONG)
    thread.join()
    with pytest.raises(ConnectionError), gate.step():
        pass
    gate.heard(1000.0, 10.0)  # on its way for long
    assert not gate.is_inside
    with pytest.raises(ConnectionError), gate.step():
        pass


def test_when_the_job_is_over_nobody_waits_for_the_chief() -> None:
    gate = Gate(Clock())
    gate.begin_lease()
    gate.end_lease()
    gate.begin_lease()
    with gate.step():
        pass


def test_a_step_that_waits_for_the_chief_is_no_hindrance_to_a_cut() -> None:
    gate = Gate()
    gate.begin_lease()
    waits = threading.Thread(target=begins, args=(gate,), daemon=True)
    waits.start()
    gate.park(1, LONG)
    assert gate.wait_until_parked(LONG)
    gate.release(1)
    gate.end_lease()
    waits.join()


def test_a_step_that_waits_says_so_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(gate_module, "_TELL_SECS", 0.05)
    gate = Gate()
    gate.begin_lease()
    gate.heard(time.monotonic(), 0.0)
    assert not begins(gate, 0.3)
    gate.heard(time.monotonic(), LONG)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2, told
    assert "waits for an answer of the chief" in told[0]
    assert "training goes on" in told[1]


def begins(gate: Gate, wait_secs: float = 0.2) -> bool:
    """Whether a step begins. Where it does not, it waits on in a thread of its own."""
    begun = threading.Event()

    def run() -> None:
        with gate.step():
            begun.set()

    threading.Thread(target=run, daemon=True).start()
    return begun.wait(wait_secs)
