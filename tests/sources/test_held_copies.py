"""A parameter server's own view of its variables, on a real server in this process."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.sources.held_copies import HeldCopies
from tests.sources.servers import start_parameter_servers

Array = np.ndarray[Any, Any]
DEVICE = "/job:ps/task:0"
_numbers = itertools.count()


@pytest.fixture(scope="module")
def target() -> str:
    return str(start_parameter_servers(1)[0].target)


class _Variable:
    """A variable of the server, under a name that no other test has."""

    def __init__(self, target: str, value: Any) -> None:
        self.value = np.asarray(value)
        self.name = f"copy_{next(_numbers)}"
        self.dtype = self.value.dtype.name
        with tf.Graph().as_default() as graph, tf.device(f"{DEVICE}/device:CPU:0"):
            handle = tf.raw_ops.VarHandleOp(dtype=self.dtype, shape=None, shared_name=self.name)
            self._fed = v1.placeholder(self.dtype)
            self._assign = tf.raw_ops.AssignVariableOp(resource=handle, value=self._fed)
            self._destroy = tf.raw_ops.DestroyResourceOp(resource=handle)
            if self.dtype != "bool":
                self._add = tf.raw_ops.AssignAddVariableOp(resource=handle, value=self._fed)
        self._session = v1.Session(target, graph=graph)
        self.assign(self.value)

    @property
    def asked(self) -> tuple[str, str]:
        return self.name, self.dtype

    def assign(self, value: Any) -> None:
        self._session.run(self._assign, {self._fed: value})

    def add(self, value: Any) -> None:
        self._session.run(self._add, {self._fed: value})

    def destroy(self) -> None:
        self._session.run(self._destroy)

    def close(self) -> None:
        self.destroy()
        self._session.close()


VALUES: Mapping[str, Array] = {
    "float32": np.arange(60_000, dtype=np.float32).reshape(200, 300),
    "bool": np.array([True, False, True]),
    "bfloat16": np.arange(9).astype(tf.bfloat16.as_numpy_dtype).reshape(3, 3),
    "complex64": np.array([1 + 2j, -3j], np.complex64),
    "int8": np.arange(-128, 128, dtype=np.int8),
    "float16": np.array([[0.5, -2, np.inf]], np.float16),
    "int64": np.array([2**62, -1], np.int64),
    "scalar": np.array(2.5, np.float64),
    "no rows": np.zeros((0, 3), np.float32),
}


@pytest.fixture
def variables(target: str) -> Iterator[dict[str, _Variable]]:
    made = {name: _Variable(target, value) for name, value in VALUES.items()}
    yield made
    for variable in made.values():
        variable.close()


def _same(array: Array, expected: Array) -> None:
    np.testing.assert_array_equal(array, expected)
    assert (array.shape, array.dtype) == (expected.shape, expected.dtype)


def test_copies_of_every_type_come_in_the_order_they_are_asked_for(
    target: str, variables: dict[str, _Variable]
) -> None:
    held = HeldCopies(target, DEVICE)
    for order in (list(variables.values()), list(variables.values())[::-1]):
        for array, variable in zip(held.open([one.asked for one in order]), order, strict=True):
            _same(array, variable.value)


@pytest.mark.parametrize("name", VALUES)
def test_a_copy_by_itself_comes_too(target: str, variables: dict[str, _Variable], name: str) -> None:
    (array,) = HeldCopies(target, DEVICE).open([variables[name].asked])
    _same(array, VALUES[name])


def test_nothing_is_copied(target: str, variables: dict[str, _Variable]) -> None:
    held = HeldCopies(target, DEVICE)
    large, small = variables["float32"], variables["bfloat16"]
    first, again = held.open([large.asked, small.asked]), held.open([large.asked, small.asked])
    by_another = HeldCopies(target, DEVICE).open([small.asked, large.asked])[::-1]
    for others in (again, by_another):
        assert [np.shares_memory(one, other) for one, other in zip(first, others, strict=True)] == [True, True]


def test_what_was_opened_outlives_the_copies(target: str, variables: dict[str, _Variable]) -> None:
    held = HeldCopies(target, DEVICE)
    arrays = held.open([variable.asked for variable in variables.values()])
    for variable in variables.values():
        variable.destroy()
    for name, array in zip(variables, arrays, strict=True):
        _same(array, VALUES[name])


@pytest.mark.parametrize("change", [_Variable.assign, _Variable.add])
def test_what_was_opened_does_not_follow_the_copies(
    target: str, variables: dict[str, _Variable], change: Any
) -> None:
    held, variable = HeldCopies(target, DEVICE), variables["float32"]
    (before,) = held.open([variable.asked])
    change(variable, np.full((200, 300), 7, np.float32))
    (after,) = held.open([variable.asked])
    _same(before, variable.value)
    _same(after, variable.value + 7 if change is _Variable.add else np.full_like(variable.value, 7))


def test_a_copy_may_come_back_with_another_shape(target: str, variables: dict[str, _Variable]) -> None:
    held, variable = HeldCopies(target, DEVICE), variables["int64"]
    held.open([variable.asked])
    variable.destroy()
    variable.assign(np.zeros((3, 5), np.int64))
    (array,) = held.open([variable.asked])
    _same(array, np.zeros((3, 5), np.int64))


def test_what_is_not_there_raises_and_the_next_export_goes_on(target: str, variables: dict[str, _Variable]) -> None:
    held, there = HeldCopies(target, DEVICE), variables["int8"]
    for asked in (("nobody", "int8"), (there.name, "float32")):
        with pytest.raises(tf.errors.OpError):
            held.open([there.asked, asked])
    (array,) = held.open([there.asked])
    _same(array, there.value)


def test_for_no_copies_nothing_is_asked() -> None:
    assert HeldCopies("grpc://nowhere.invalid:1", DEVICE).open([]) == []
