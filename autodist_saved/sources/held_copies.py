"""A parameter server's own view of the staged copies that it holds."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow.compat.v1 as v1

Copies = tuple[tuple[str, str], ...]


class HeldCopies:
    """Opens copies as arrays that share their memory. Belongs to a parameter server's process.

    The copies are variables of the TensorFlow server of this process. A session that asks nobody else reads them all
    in one step, and a function in its graph takes the tensors as they are.
    """

    def __init__(self, target: str, device: str) -> None:
        """Runs nothing yet.

        Args:
            target: of this process' TensorFlow server.
            device: of this task, such as ``/job:ps/task:0``.
        """
        self._target = target
        self._device = device
        self._reader: tuple[Copies, v1.Session, Any] | None = None
        self._arrays: list[npt.NDArray[Any]] = []
        self._turn = threading.Lock()

    def open(self, copies: Sequence[tuple[str, str]]) -> list[npt.NDArray[Any]]:
        """Copies, given by ``shared_name`` and dtype, as arrays. They stay valid when the copies are discarded.

        Called in the thread that serves an export. Raises errors of TensorFlow, for instance where there is no such
        copy.
        """
        if not copies:
            return []
        with self._turn:
            session, take = self._reader_of(tuple(copies))
            try:
                session.run(take)
            except BaseException:
                self._reader = None
                raise
            arrays, self._arrays = self._arrays, []
        return arrays

    def _reader_of(self, copies: Copies) -> tuple[v1.Session, Any]:
        # From one export to the next they are the same, and a graph takes its time.
        if self._reader is None or self._reader[0] != copies:
            if self._reader is not None:
                closing, self._reader = self._reader[1], None
                closing.close()
            self._reader = (copies, *self._make_reader(copies))
        return self._reader[1:]

    def _make_reader(self, copies: Copies) -> tuple[v1.Session, Any]:
        with tf.Graph().as_default() as graph, tf.device(f"{self._device}/device:CPU:0"):
            values = []
            for shared_name, dtype in copies:
                handle = tf.raw_ops.VarHandleOp(dtype=dtype, shape=None, shared_name=shared_name)
                values.append(tf.raw_ops.ReadVariableOp(resource=handle, dtype=dtype))
            take = tf.numpy_function(self._take, values, tf.int64)
        # Of all tasks it needs this one alone, and what it runs is as simple as it can be.
        config = v1.ConfigProto(device_filters=[self._device])
        config.graph_options.rewrite_options.disable_meta_optimizer = True
        return v1.Session(self._target, graph=graph, config=config), take.op

    def _take(self, *arrays: npt.NDArray[Any]) -> np.int64:
        self._arrays = list(arrays)
        return np.int64(len(arrays))
