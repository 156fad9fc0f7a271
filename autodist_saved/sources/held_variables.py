"""A parameter server's own view of the variables that it holds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.transport.server_variable import ServerVariable

Array = npt.NDArray[Any]
Variables = tuple[ServerVariable, ...]

# TensorFlow's time for an op grows with the square of its inputs.
_INPUTS_MAX = 64


class HeldVariables:
    """Opens variables of this process' TensorFlow server, to be read as arrays that share their memory.

    A parameter server has one. Any session may have made the variables.
    """

    def __init__(self, target: str, device: str) -> None:
        """Runs nothing yet.

        Args:
            target: of this process' TensorFlow server.
            device: of this task, such as ``/job:ps/task:0``.
        """
        self._target = target
        self._device = device
        self._kept: VariableReader | None = None
        self._lock = threading.Lock()

    def open(self, variables: Sequence[ServerVariable]) -> VariableReader:
        """Prepare to read those of the variables that are here. Called in any thread. Raises TensorFlow's errors.

        The last reader is kept: the next export usually names the same variables, and TensorFlow takes long to
        prepare a graph.
        """
        wanted = tuple(variables)
        with self._lock:
            reader, self._kept = self._kept, None
        if reader is not None and reader.variables != wanted:
            reader.end()
            reader = None
        if reader is None:
            reader = self._make(wanted, frozenset())
        self._look(reader)
        if reader.absent:
            reader.end()
            reader = self._make(wanted, reader.absent)
            self._look(reader)
        return reader

    def _make(self, variables: Variables, absent: frozenset[int]) -> VariableReader:
        return VariableReader(self._target, self._device, variables, absent, self._keep)

    def _look(self, reader: VariableReader) -> None:
        try:
            reader.look()
        except BaseException:
            reader.end()
            raise

    def _keep(self, reader: VariableReader) -> None:
        with self._lock:
            before, self._kept = self._kept, reader
        if before is not None:
            before.end()


class VariableReader:
    """Reads a list of variables in one session step, any number of times. One thread at a time may call it.

    The session reaches this task alone. Its graph has two halves. The first finds out which variables have a value,
    and makes TensorFlow prepare the whole graph. The second hands the variables' tensors, uncopied, to our Python
    functions.
    """

    def __init__(
        self,
        target: str,
        device: str,
        variables: Variables,
        absent: frozenset[int],
        keep: Callable[[VariableReader], None],
    ) -> None:
        """Build the graph.

        Args:
            target: of this process' TensorFlow server.
            device: of this task.
            variables: to be read.
            absent: positions of those to leave out.
            keep: called with this reader when it is closed and can be used again.
        """
        self.variables = variables
        self.absent = absent
        self._here = [number for number in range(len(variables)) if number not in absent]
        self._keep = keep
        self._failed = False
        self._arrays: dict[int, Array] = {}
        self._has_value: dict[int, bool] = {}
        with tf.Graph().as_default() as graph:
            definition = _graph_of({number: variables[number] for number in self._here}, f"{device}/device:CPU:0")
            outputs = [f"{half}_{number}:0" for half in ("value", "has_value") for number in self._here]
            self._reading, *taken = tf.import_graph_def(definition, return_elements=["reading:0", *outputs], name="")
            with tf.device(f"{device}/device:CPU:0"):
                values, have_values = taken[: len(self._here)], taken[len(self._here) :]
                takes = [*self._taking(self._arrays, values), *self._taking(self._has_value, have_values)]
                self._step = tf.group(*takes)
        # Of all tasks it needs this one alone, and what it runs is as simple as it can be.
        config = v1.ConfigProto(device_filters=[device])
        config.graph_options.rewrite_options.disable_meta_optimizer = True
        self._session = v1.Session(target, graph=graph, config=config)

    def look(self) -> None:
        """Find out which variables are absent or have no value, and prepare to :meth:`read` the others."""
        self._run(reading=False)
        self.absent |= {number for number, has_value in self._has_value.items() if not has_value}

    def read(self) -> dict[int, Array]:
        """See :class:`~autodist_saved.transport.staged_copies.Reader`.

        While somebody holds the arrays, a training step has to copy a variable before it changes it. Reference
        variables are changed in place: a held array changes with them.
        """
        self._run(reading=True)
        arrays = {number: self._arrays[number] for number in self._here}
        self._arrays.clear()
        return arrays

    def close(self) -> None:
        """Hand it back, to be opened again."""
        if self._failed or self.absent:
            self.end()
        else:
            self._keep(self)

    def end(self) -> None:
        """Free what it holds."""
        self._session.close()

    def _run(self, *, reading: bool) -> None:
        try:
            self._session.run(self._step, {self._reading: reading})
        except BaseException:
            self._failed = True
            self._arrays.clear()
            raise

    def _taking(self, taken: dict[int, Any], tensors: Sequence[tf.Tensor]) -> list[tf.Operation]:
        """Ops that put tensors into ``taken``, by the position of their variable."""

        def take(numbers: Sequence[int], *values: Any) -> np.int64:
            taken.update(zip(numbers, map(np.asarray, values), strict=True))  # a scalar comes as no array
            return np.int64(len(values))

        starts = range(0, len(tensors), _INPUTS_MAX)
        return [
            tf.numpy_function(
                partial(take, self._here[start : start + _INPUTS_MAX]), tensors[start : start + _INPUTS_MAX], tf.int64
            ).op
            for start in starts
        ]


def _graph_of(variables: dict[int, ServerVariable], device: str) -> v1.GraphDef:
    """Both halves; the placeholder ``reading`` decides which runs, and the nodes of the other one are dead.

    Made node by node, for thousands of variables: TensorFlow's own functions take three times as long.
    """
    graph = v1.GraphDef()

    def add(op: str, name: str, *inputs: str, **attributes: Any) -> None:
        node = graph.node.add(op=op, name=name, device=device, input=inputs)
        for key, value in attributes.items():
            node.attr[key].CopyFrom(value)

    a_bool = _type("bool")
    add("Placeholder", "reading", dtype=a_bool, shape=_shape(()))
    add("Switch", "half", "reading", "reading", T=a_bool)
    add("Identity", "look", "half:0", T=a_bool)
    add("Identity", "read", "half:1", T=a_bool)
    for number, variable in variables.items():
        held, value, has_value = f"held_{number}", f"value_{number}", f"has_value_{number}"
        dtype = _type(variable.dtype)
        names = {"shared_name": _text(variable.name), "container": _text(variable.container)}
        if variable.reference:
            add("VariableV2", held, dtype=dtype, shape=_shape(variable.shape), **names)
            add("IsVariableInitialized", has_value, held, "^look", dtype=dtype)
            add("Identity", value, held, "^read", T=dtype)
        else:
            add("VarHandleOp", held, dtype=dtype, shape=_shape(None), **names)
            add("VarIsInitializedOp", has_value, held, "^look")
            # A variable that was updated sparsely would be copied to be read, into memory never touched before.
            add("DisableCopyOnRead", f"shared_{number}", held, "^read")
            add("ReadVariableOp", value, held, f"^shared_{number}", dtype=dtype)
    return graph


def _type(name: str) -> v1.AttrValue:
    return v1.AttrValue(type=tf.as_dtype(name).as_datatype_enum)


def _text(text: str) -> v1.AttrValue:
    return v1.AttrValue(s=text.encode())


def _shape(shape: tuple[int, ...] | None) -> v1.AttrValue:
    return v1.AttrValue(shape=tf.TensorShape(shape).as_proto())
