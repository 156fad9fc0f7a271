"""A whole variable of a serving graph whose value is stored in slices."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from autodist_saved.bundle.slice_spec import Slice, slice_spec
from autodist_saved.errors import Problem
from autodist_saved.graph.graph_def.body import as_dtype
from autodist_saved.tf_internals import private_api
from autodist_saved.tf_internals.graph_walk import Node


class VariableInSlices(private_api.SaveableObject):  # type: ignore[misc]
    """Saves and restores a variable slice by slice.

    Training graphs with partitioned variables need slices of types of which TensorFlow restores only what is stored.
    """

    def __init__(self, variable: tf.Operation, value: tf.Tensor, key: str, slices: Sequence[Slice]) -> None:
        """The graph of the variable must be the default one.

        Args:
            variable: holds it.
            value: of the variable.
            key: of the variable.
            slices: a grid that covers it.
        """
        self._variable = variable
        self._slices = slices
        specs = [
            private_api.SaveSpec(tf.slice(value, part.start, part.shape), slice_spec(part), key) for part in slices
        ]
        super().__init__(value, specs, key)

    def restore(self, restored_tensors: list[tf.Tensor], restored_shapes: Any) -> tf.Operation:  # noqa: ARG002
        """See TensorFlow's."""
        whole = _put_together(dict(zip(self._slices, restored_tensors, strict=True)))
        handle = self._variable.outputs[0]
        if self._variable.type == "VarHandleOp":
            return tf.raw_ops.AssignVariableOp(resource=handle, value=whole)
        return tf.raw_ops.Assign(ref=handle, value=whole).op


def slice_problems(variable: str, node: Node, slices: Sequence[Slice]) -> Iterator[Problem]:
    """Yield why a variable that is stored in these slices cannot be put together."""
    dtype = as_dtype(node, "dtype")
    fix = "add the serving graph first: then the variable is stored as a whole"
    if slices and not private_api.has_cpu_kernel("ConcatV2", "T", dtype):
        yield Problem(
            f"variable {variable!r}",
            f"it is stored in slices, and TensorFlow cannot concatenate {dtype.name}",
            fix,
        )
    elif slices and not _is_grid(slices):
        yield Problem(f"variable {variable!r}", "it is stored in slices that are no grid", fix)


def _is_grid(slices: Sequence[Slice]) -> bool:
    """Whether the slices are all combinations of what they have in each dimension."""
    extents = [set(axis) for axis in zip(*(zip(part.start, part.shape, strict=True) for part in slices), strict=True)]
    return math.prod(map(len, extents)) == len(slices)


def _put_together(tensors: Mapping[Slice, tf.Tensor]) -> tf.Tensor:
    """Concatenate the slices of a grid, along one dimension after the other, the last one first."""
    by_start = {part.start: tensor for part, tensor in tensors.items()}
    for axis in reversed(range(len(next(iter(by_start))))):
        rows: dict[tuple[int, ...], list[tf.Tensor]] = {}
        for start, tensor in sorted(by_start.items()):
            rows.setdefault(start[:axis], []).append(tensor)
        by_start = {start: tf.concat(row, axis) for start, row in rows.items()}
    (whole,) = by_start.values()
    return whole
