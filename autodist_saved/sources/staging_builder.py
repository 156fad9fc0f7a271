"""Adds the ops of :mod:`autodist_saved.sources.staging_ops` to a graph."""

from __future__ import annotations

import hashlib
import math
import os
import socket
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from autodist_saved.bundle.slice_spec import parse_slice_spec
from autodist_saved.sources.row_reads import RowReadsBuilder
from autodist_saved.sources.rows import has_rows
from autodist_saved.sources.server_variables import holding_op, server_variable_of
from autodist_saved.sources.staging_ops import CopyOps, StagedPiece, StagingOps
from autodist_saved.tf_internals import private_api

# Smaller variables are copied into one with their neighbours: a thousand reads would take longer than their bytes.
PACK_BELOW_BYTES = 2**18
# TensorFlow's graph optimizers take a time that grows with the square of an op's inputs.
PACK_MEMBERS_MAX = 64


def build_staging_ops(saveables: Iterable[Any], scope: str) -> StagingOps:
    """Add the ops to the default graph, in the open name scope. Every task calls it, once for each saver.

    Args:
        saveables: TensorFlow's ``SaveableObject`` of everything that the saver saves.
        scope: name of the open scope.
    """
    reads = RowReadsBuilder()
    saved = [(saveable, spec) for saveable in saveables for spec in saveable.specs]
    values = [_Value.of(spec) for _, spec in saved]
    names = f"{scope}{own_container()}/copy_"
    copies: list[CopyOps] = []
    pieces: dict[int, StagedPiece] = {}
    for members in _packs(values):
        dtype, memory = values[members[0]].tensor.dtype.base_dtype, values[members[0]].memory
        with tf.device(memory):
            flat = tf.concat([values[index].flat() for index in members], 0)
            copies.append(_copy(flat, dtype, memory, f"{names}{len(copies)}", reads))
        at = 0
        for index in members:
            pieces[index] = values[index].piece(*saved[index], len(copies) - 1, packed_at=at)
            at += values[index].length
    for index, value in enumerate(values):
        if index not in pieces:
            with tf.device(value.memory):
                copy = _copy(
                    value.settled(),
                    value.tensor.dtype.base_dtype,
                    value.memory,
                    f"{names}{len(copies)}",
                    reads,
                )
            copies.append(copy)
            pieces[index] = value.piece(*saved[index], len(copies) - 1)
    return StagingOps(
        tuple(pieces[index] for index in range(len(values))),
        tuple(copies),
        tf.group(*(copy.stage for copy in copies), name="stage"),
        tf.group(*(copy.discard for copy in copies), name="discard"),
        reads.made(),
    )


@dataclass(frozen=True)
class _Value:
    """A tensor to copy, and the memory of the task that holds it."""

    tensor: tf.Tensor
    memory: str
    shape: tuple[int, ...] | None
    is_slice: bool

    @staticmethod
    def of(spec: Any) -> _Value:
        tensor = spec.tensor
        shape = tuple(tensor.shape.as_list()) if tensor.shape.is_fully_defined() else None
        return _Value(tensor, memory_of(spec.device or tensor.device), shape, bool(spec.slice_spec))

    @property
    def length(self) -> int:
        return math.prod(self.shape or ())

    def flat(self) -> tf.Tensor:
        # A variable whose shape has changed would shift its neighbours in the pack. Graph optimizers trust the
        # declared shape and remove a reshape, but they keep this op.
        return tf.reshape(tf.ensure_shape(self.settled(), self.shape), [-1])

    def settled(self) -> tf.Tensor:
        # A reference shares the variable's memory, and would change with it.
        return _deep_copy(self.tensor) if private_api.is_reference(self.tensor) else self.tensor

    def piece(self, saveable: Any, spec: Any, copy: int, packed_at: int | None = None) -> StagedPiece:
        full_shape, offset, shape = self.shape, (0,) * len(self.shape or ()), self.shape
        if spec.slice_spec:
            full_shape, offset, shape = parse_slice_spec(spec.slice_spec)
        device = tf.DeviceSpec.from_string(self.memory)
        task = f"{device.job}:{device.task or 0}" if device.job else "local"
        dtype = self.tensor.dtype.base_dtype.name
        variable = server_variable_of(saveable, shape)
        op = holding_op(saveable)
        return StagedPiece(
            spec.name,
            dtype,
            full_shape,
            offset,
            shape,
            task,
            copy,
            packed_at,
            variable,
            None if op is None else op.name,
            self.is_slice,
        )


def unstageable(saveables: Iterable[Any]) -> tuple[str, ...]:
    """Names of saved values that cannot be copied: handles of other objects, and quantized reference variables."""
    return tuple(
        spec.name
        for saveable in saveables
        for spec in saveable.specs
        if spec.dtype.base_dtype in {tf.variant, tf.resource}
        or (spec.dtype.base_dtype.is_quantized and isinstance(saveable, private_api.ReferenceVariableSaveable))
    )


def _packs(values: Sequence[_Value]) -> Iterator[list[int]]:
    """Which values share a copy: small whole values of one dtype on one task."""
    by_kind: dict[tuple[str, str], list[int]] = {}
    for index, value in enumerate(values):
        dtype = value.tensor.dtype.base_dtype
        if value.is_slice or value.shape is None or not has_rows(dtype, 1):
            continue
        if math.prod(value.shape) * dtype.size < PACK_BELOW_BYTES:
            by_kind.setdefault((value.memory, dtype.name), []).append(index)
    for alike in by_kind.values():
        packs = (alike[first : first + PACK_MEMBERS_MAX] for first in range(0, len(alike), PACK_MEMBERS_MAX))
        yield from (members for members in packs if len(members) > 1)


def _copy(value: tf.Tensor, dtype: tf.DType, memory: str, shared_name: str, reads: RowReadsBuilder) -> CopyOps:
    """A copy of a value, on the device ``memory``, which is open."""
    handle = tf.raw_ops.VarHandleOp(dtype=dtype, shape=value.shape, shared_name=shared_name, name="copy")
    stage = tf.raw_ops.AssignVariableOp(resource=handle, value=value)
    discard = tf.raw_ops.DestroyResourceOp(resource=handle, ignore_lookup_error=True)
    whole = tf.raw_ops.ReadVariableOp(resource=handle, dtype=dtype)
    whole.set_shape(value.shape)
    staged_shape = None
    if not value.shape.is_fully_defined():
        with tf.control_dependencies([stage]):
            staged_shape = tf.shape(tf.raw_ops.ReadVariableOp(resource=handle, dtype=dtype), tf.int64)
    return CopyOps(stage, discard, whole, reads.add(whole, memory), staged_shape)


def _deep_copy(value: tf.Tensor) -> tf.Tensor:
    if value.dtype.base_dtype == tf.string:
        return tf.strings.join([value, ""])
    return tf.raw_ops.DeepCopy(x=value)


def memory_of(device: str) -> str:
    """The ordinary memory of the task that owns ``device``, whatever accelerator that is."""
    return str(tf.DeviceSpec.from_string(device).replace(device_type="CPU", device_index=0).to_string())


def own_container() -> str:
    """A prefix for names on the parameter servers: different for each task of a job, the same after a restart.

    All tasks build equal graphs, and a copy of one task must not be taken for that of another. A saver does not
    know its task, so the prefix comes from the environment, the machine and the command line.
    """
    place = [os.environ.get("TF_CONFIG", ""), socket.gethostname(), *sys.argv]
    return hashlib.sha256("\0".join(place).encode(errors="surrogateescape")).hexdigest()[:8]
