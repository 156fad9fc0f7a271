"""A parameter server's own view of its variables, on a real server in this process."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.sources import held_variables as held_module
from autodist_saved.sources.held_variables import HeldVariables
from autodist_saved.transport.server_variable import ServerVariable
from tests.sources.servers import start_parameter_servers

Array = np.ndarray[Any, Any]
DEVICE = "/job:ps/task:0"
_numbers = itertools.count()
every_kind = pytest.mark.parametrize("reference", [False, True], ids=["resource", "reference"])


@pytest.fixture(scope="module")
def target() -> str:
    return str(start_parameter_servers(1)[0].target)


class _Variable:
    """A variable of the server, under a name that no other test has, made and changed by a session of its own."""

    def __init__(self, target: str, value: Any, *, reference: bool = False, container: str = "") -> None:
        self.value = np.asarray(value)
        dtype = self.value.dtype.name
        self.asked = ServerVariable(f"v{next(_numbers)}", container, dtype, reference, self.value.shape)
        with tf.Graph().as_default() as graph, tf.device(f"{DEVICE}/device:CPU:0"):
            self._fed, named = v1.placeholder(dtype), {"shared_name": self.asked.name, "container": container}
            numbers = dtype != "bool"
            if reference:
                held = tf.raw_ops.VariableV2(shape=self.value.shape, dtype=dtype, **named)
                self._assign = tf.raw_ops.Assign(ref=held, value=self._fed).op
                self._add = tf.raw_ops.AssignAdd(ref=held, value=self._fed).op if numbers else None
                self._scatter = self._of_rows(tf.raw_ops.ScatterAdd, ref=held)
            else:
                held = tf.raw_ops.VarHandleOp(dtype=dtype, shape=None, **named)
                self._assign = tf.raw_ops.AssignVariableOp(resource=held, value=self._fed)
                self._add = tf.raw_ops.AssignAddVariableOp(resource=held, value=self._fed) if numbers else None
                self._scatter = self._of_rows(tf.raw_ops.ResourceScatterAdd, resource=held)
                self._destroy = tf.raw_ops.DestroyResourceOp(resource=held)
        self._session = v1.Session(target, graph=graph)
        self.assign(self.value)

    def _of_rows(self, scatter_add: Any, **held: tf.Tensor) -> Any:
        if self.value.ndim == 0 or self.value.dtype == bool:
            return None
        added = scatter_add(**held, indices=[0], updates=tf.ones([1, *self.value.shape[1:]], self.value.dtype))
        return added if isinstance(added, tf.Operation) else added.op

    def assign(self, value: Any) -> None:
        self._session.run(self._assign, {self._fed: value})

    def add(self) -> None:
        self._session.run(self._add, {self._fed: np.ones_like(self.value)})

    def scatter(self) -> None:
        self._session.run(self._scatter)

    def destroy(self) -> None:
        self._session.run(self._destroy)


def _copied_when_fed(values: Array) -> Array:
    """The same values where TensorFlow does not take their memory as it is, which it does where that is aligned."""
    memory = np.empty(values.size + 1, values.dtype)
    start = int(memory.ctypes.data % 64 == 0)
    memory[start : start + values.size] = values.ravel()
    return memory[start : start + values.size].reshape(values.shape)


VALUES: Mapping[str, Array] = {
    "float32": _copied_when_fed(np.arange(60_000, dtype=np.float32).reshape(200, 300)),
    "bool": np.array([True, False, True]),
    "bfloat16": np.arange(9).astype(tf.bfloat16.as_numpy_dtype).reshape(3, 3),
    "complex64": np.array([1 + 2j, -3j], np.complex64),
    "int8": np.arange(-128, 128, dtype=np.int8),
    "float16": np.array([[0.5, -2, np.inf]], np.float16),
    "int64": np.array([2**62, -1], np.int64),
    "scalar": np.array(2.5, np.float64),
    "half a scalar": np.array(2.5, tf.bfloat16.as_numpy_dtype),
    "no rows": np.zeros((0, 3), np.float32),
}


@pytest.fixture(params=[False, True], ids=["resource", "reference"])
def variables(target: str, request: Any) -> dict[str, _Variable]:
    return {name: _Variable(target, value, reference=request.param) for name, value in VALUES.items()}


def _same(array: Array, expected: Array) -> None:
    np.testing.assert_array_equal(array, expected)
    assert (array.shape, array.dtype) == (expected.shape, expected.dtype)


def _read(held: HeldVariables, *variables: _Variable) -> list[Array]:
    reader = held.open([variable.asked for variable in variables])
    try:
        assert not reader.absent
        return list(reader.read().values())
    finally:
        reader.close()


def _address(held: HeldVariables, variable: _Variable) -> int:
    (array,) = _read(held, variable)
    return int(array.ctypes.data)


def test_variables_of_every_type_come_by_their_number(target: str, variables: dict[str, _Variable]) -> None:
    held = HeldVariables(target, DEVICE)
    for order in (list(variables.values()), list(variables.values())[::-1]):
        reader = held.open([one.asked for one in order])
        arrays = reader.read()
        assert list(arrays) == list(range(len(order)))
        for array, variable in zip(arrays.values(), order, strict=True):
            _same(array, variable.value)
        reader.close()


def test_many_variables_come_in_portions(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_module, "_INPUTS_MAX", 2)
    variables = [_Variable(target, np.full(number, number, np.float32)) for number in range(5)]
    for array, variable in zip(_read(HeldVariables(target, DEVICE), *variables), variables, strict=True):
        _same(array, variable.value)


@every_kind
def test_a_container_has_variables_of_its_own(target: str, reference: bool) -> None:
    inside = _Variable(target, np.ones(2), reference=reference, container="box")
    outside = inside.asked._replace(container="")
    held = HeldVariables(target, DEVICE)
    _same(*_read(held, inside), inside.value)
    reader = held.open([inside.asked, outside])
    assert reader.absent == {1}


def test_nothing_is_copied(target: str, variables: dict[str, _Variable]) -> None:
    held, large, small = HeldVariables(target, DEVICE), variables["float32"], variables["bfloat16"]
    first, again = _read(held, large, small), _read(held, large, small)
    by_another = _read(HeldVariables(target, DEVICE), small, large)[::-1]
    for others in (again, by_another):
        assert [np.shares_memory(one, other) for one, other in zip(first, others, strict=True)] == [True, True]


@every_kind
@pytest.mark.parametrize("update", [_Variable.add, _Variable.scatter], ids=["dense", "sparse"])
def test_an_update_does_not_copy_what_was_read_and_dropped(target: str, reference: bool, update: Any) -> None:
    held, variable = HeldVariables(target, DEVICE), _Variable(target, VALUES["float32"], reference=reference)
    before = [_address(held, variable)]
    for _ in range(3):
        update(variable)
        before.append(_address(held, variable))
    assert len(set(before)) == 1


def test_a_variable_that_was_updated_sparsely_is_read_without_a_copy(target: str) -> None:
    held, variable = HeldVariables(target, DEVICE), _Variable(target, VALUES["float32"])
    variable.scatter()
    (first,) = _read(held, variable)
    (second,) = _read(HeldVariables(target, DEVICE), variable)
    assert np.shares_memory(first, second)


@pytest.mark.parametrize("update", [_Variable.add, _Variable.scatter], ids=["dense", "sparse"])
def test_what_is_held_does_not_follow_a_resource_variable(target: str, update: Any) -> None:
    held, variable = HeldVariables(target, DEVICE), _Variable(target, VALUES["float32"])
    (before,) = _read(held, variable)
    update(variable)
    (after,) = _read(held, variable)
    _same(before, variable.value)
    assert after[0, 0] == variable.value[0, 0] + 1


def test_what_is_held_outlives_its_variable(target: str) -> None:
    variable = _Variable(target, VALUES["float32"])
    (array,) = _read(HeldVariables(target, DEVICE), variable)
    variable.destroy()
    _same(array, VALUES["float32"])


def test_looking_leaves_variables_alone(target: str) -> None:
    held, variable = HeldVariables(target, DEVICE), _Variable(target, VALUES["float32"])
    address = _address(held, variable)
    variable.scatter()  # it is copied now whenever it is read as TensorFlow reads
    reader = held.open([variable.asked])
    reader.look()
    assert not reader._arrays
    assert reader.read()[0].ctypes.data == address


def test_a_variable_may_come_back_with_another_shape(target: str) -> None:
    held, variable = HeldVariables(target, DEVICE), _Variable(target, VALUES["int64"])
    _read(held, variable)
    variable.assign(np.zeros((3, 5), np.int64))
    _same(*_read(held, variable), np.zeros((3, 5), np.int64))


@every_kind
def test_what_is_not_there_is_told_and_the_others_come(target: str, reference: bool) -> None:
    held = HeldVariables(target, DEVICE)
    there = [_Variable(target, np.full(3, number), reference=reference) for number in range(2)]
    nobody = there[0].asked._replace(name=f"nobody {next(_numbers)}")
    asked = [nobody, there[0].asked, nobody._replace(name="nobody else"), there[1].asked]
    for _ in range(2):
        reader = held.open(asked)
        assert reader.absent == {0, 2}
        arrays = reader.read()
        assert sorted(arrays) == [1, 3]
        _same(arrays[1], there[0].value)
        _same(arrays[3], there[1].value)
        reader.close()


def test_what_was_not_there_is_found_once_it_is(target: str) -> None:
    held, asked = HeldVariables(target, DEVICE), ServerVariable("v_late", "", "int64", False, (2,))
    reader = held.open([asked])
    assert reader.absent == {0}
    assert reader.read() == {}
    reader.close()
    late = _Variable(target, VALUES["int64"])
    assert held.open([late.asked]).absent == frozenset()


def test_a_reference_variable_that_was_looked_for_too_soon_can_still_be_made(target: str) -> None:
    name = f"v{next(_numbers)}"
    reader = HeldVariables(target, DEVICE).open([ServerVariable(name, "", "float32", True, (2, 3))])
    assert reader.absent == {0}
    with tf.Graph().as_default() as graph, tf.device(f"{DEVICE}/device:CPU:0"):
        held = tf.raw_ops.VariableV2(shape=[2, 3], dtype="float32", shared_name=name)
        assign = tf.raw_ops.Assign(ref=held, value=tf.ones([2, 3]))
    with v1.Session(target, graph=graph) as session:
        session.run(assign.op)


def test_another_type_than_asked_for_is_refused_and_the_next_export_goes_on(target: str) -> None:
    held, there = HeldVariables(target, DEVICE), _Variable(target, VALUES["int8"])
    reader = held.open([there.asked._replace(dtype="float32")])
    with pytest.raises(tf.errors.OpError):
        reader.read()
    reader.close()
    _same(*_read(held, there), there.value)


def test_the_same_list_is_read_by_the_same_reader(target: str) -> None:
    held = HeldVariables(target, DEVICE)
    first, second = (_Variable(target, VALUES["int8"]) for _ in range(2))
    readers = []
    for asked in ([first.asked], [first.asked], [second.asked], [first.asked]):
        readers.append(held.open(asked))
        readers[-1].read()
        readers[-1].close()
    assert [reader is readers[0] for reader in readers] == [True, True, False, False]


def test_two_exports_at_a_time_have_a_reader_each(target: str) -> None:
    held, variable = HeldVariables(target, DEVICE), _Variable(target, VALUES["int8"])
    readers = [held.open([variable.asked]) for _ in range(2)]
    for reader in readers:
        _same(reader.read()[0], variable.value)
        reader.close()
    _same(*_read(held, variable), variable.value)
