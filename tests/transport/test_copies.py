"""What an export holds on a parameter server: where the bytes lie, and how long."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from autodist_saved.transport import staged_copies as copies_module
from autodist_saved.transport.server_variable import ServerVariable
from autodist_saved.transport.staged_copies import StagedCopies
from autodist_saved.transport.staging_memory import StagingMemory

Array = np.ndarray[Any, Any]
FREE = 2**20


class _Variables:
    """Arrays that stand for variables. May grow, and break."""

    absent: frozenset[int] = frozenset()

    def __init__(self, arrays: Sequence[Array]) -> None:
        self.arrays = list(arrays)
        self.asked = [ServerVariable("", "", one.dtype.name, reference=False, shape=one.shape) for one in arrays]
        self.broken = False
        self.open_readers = 0

    def open(self, variables: Sequence[ServerVariable]) -> _Variables:
        assert list(variables) == self.asked
        self.open_readers += 1
        return self

    def read(self) -> dict[int, Array]:
        if self.broken:
            raise LookupError("gone")
        return {number: array for number, array in enumerate(self.arrays) if number not in self.absent}

    def close(self) -> None:
        self.open_readers -= 1


def _some() -> list[Array]:
    numbers = np.random.default_rng(0)
    shapes = [(3,), (), (0, 4), (1000, 3), (7, 5), (64, 64)]
    return [numbers.normal(size=shape).astype(dtype) for shape, dtype in zip(shapes, itertools.cycle("fd"))]


def _bytes_of_all(copies: StagedCopies, variables: _Variables) -> list[bytes]:
    return [copies.bytes_of(number, 0, one.nbytes).tobytes() for number, one in enumerate(variables.arrays)]


@pytest.mark.parametrize("portion", [1, 100, 10**9])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("staging", ["memory", "parked"])
def test_every_byte_is_staged(monkeypatch: pytest.MonkeyPatch, staging: str, threads: int, portion: int) -> None:
    monkeypatch.setattr(copies_module, "_PORTION_BYTES", portion)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(threads))
    variables = _Variables(_some())
    copies = StagedCopies(variables.open, StagingMemory())
    copies.attach(variables.asked, staging, keep=False)
    assert copies.stage().parked == (staging == "parked")
    assert _bytes_of_all(copies, variables) == [array.tobytes() for array in variables.arrays]


def test_neighbours_lie_side_by_side() -> None:
    variables = _Variables([np.full(number, number, np.uint8) for number in range(1, 5)])
    copies = StagedCopies(variables.open, StagingMemory())
    copies.attach(variables.asked, "memory", keep=False)
    copies.stage()
    starts = [copies.bytes_of(number, 0, 1).ctypes.data for number in range(4)]
    assert [start - starts[0] for start in starts] == [0, 1, 3, 6]


def test_what_is_absent_is_left_out() -> None:
    variables = _Variables(_some())
    variables.absent = frozenset({0, 3})
    copies = StagedCopies(variables.open, StagingMemory())
    assert copies.attach(variables.asked, "memory", keep=False) == {0, 3}
    copies.stage()
    assert copies.bytes_of(4, 0, 140).tobytes() == variables.arrays[4].tobytes()
    with pytest.raises(KeyError):
        copies.bytes_of(3, 0, 1)


@pytest.mark.parametrize(("nbytes", "parked"), [(FREE // 2, False), (FREE, True)])
def test_copies_are_made_if_they_fit(nbytes: int, parked: bool) -> None:
    variables = _Variables([np.zeros(nbytes, np.uint8)])
    copies = StagedCopies(variables.open, StagingMemory(lambda: FREE))
    copies.attach(variables.asked, "auto", keep=False)
    assert copies.stage().parked == parked


def test_what_was_too_large_to_be_copied_is_not_copied_within_the_cut() -> None:
    free = iter([FREE, 2**40])
    variables = _Variables([np.zeros(FREE, np.uint8)])
    copies = StagedCopies(variables.open, StagingMemory(lambda: next(free)))
    copies.attach(variables.asked, "auto", keep=False)
    assert copies.stage().parked


@pytest.mark.parametrize(("staging", "parked"), [("memory", False), ("auto", True)])
def test_variables_that_have_grown_since_are_staged_all_the_same(staging: str, parked: bool) -> None:
    variables = _Variables([np.zeros(10, np.uint8), np.ones(10, np.uint8)])
    copies = StagedCopies(variables.open, StagingMemory(lambda: FREE))
    copies.attach(variables.asked, staging, keep=True)
    variables.arrays[0] = np.full(2 * FREE, 7, np.uint8)
    assert copies.stage()[:2] == (parked, {0: (2 * FREE,)})
    assert _bytes_of_all(copies, variables) == [array.tobytes() for array in variables.arrays]


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("fails", [False, True])
def test_memory_goes_back_whatever_happens(keep: bool, fails: bool) -> None:
    variables, memory = _Variables(_some()), StagingMemory()
    copies = StagedCopies(variables.open, memory)
    for _ in range(3):
        copies.attach(variables.asked, "memory", keep=keep)
        assert memory.kept_bytes == 0
        variables.broken = fails
        if fails:
            with pytest.raises(LookupError):
                copies.stage()
        else:
            copies.stage()
        copies.discard()
        copies.discard()
        assert bool(memory.kept_bytes) == keep
        assert variables.open_readers == 0


def test_attaching_anew_lets_go_of_what_was_attached() -> None:
    variables, memory = _Variables(_some()), StagingMemory()
    copies = StagedCopies(variables.open, memory)
    for _ in range(3):
        copies.attach(variables.asked, "memory", keep=True)
        copies.stage()
    assert variables.open_readers == 1
    assert memory.kept_bytes == 0
