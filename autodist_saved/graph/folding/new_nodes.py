"""The nodes that folding adds to a graph: they slice what is read, and shift the numbers of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from autodist_saved.graph.folding.region import Region
from autodist_saved.graph.graph_def.body import Body
from autodist_saved.tf_internals.graph_walk import Node, node_of


class NewNodes:
    """Adds nodes to a body. Each is in the same loop as its inputs. All methods return the name of a tensor."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._in_loops = body.in_loops()

    def read(self, handle: str, region: Region) -> str:
        """Read a variable. ``handle``: the variable's."""
        return self._add(
            "ReadVariableOp", f"{node_of(handle)}/Read/ReadVariableOp", [handle], dtype=tf.as_dtype(region.dtype)
        )

    def part(self, tensor: str, region: Region) -> str:
        """Slice a region out of a whole variable's value."""
        return self._slice(tensor, region.offset, region.end, region.dtype, ellipsis_mask=0)

    def columns(self, tensor: str, region: Region) -> str:
        """Slice rows of a whole variable, in any arrangement, to the region's extent beyond the first dimension."""
        return self._slice(tensor, (0, *region.offset[1:]), (0, *region.end[1:]), region.dtype, ellipsis_mask=1)

    def rows(self, rows: str, offset: int, dtype: tf.DType) -> str:
        """Add an offset to numbers of rows."""
        shift = self._constant(f"{node_of(rows)}/offset", offset, dtype, near=rows)
        return self._sum(rows, shift, dtype)

    def dealt_rows(self, rows: str, dealt_to: str, offsets: Sequence[int], dtype: tf.DType) -> str:
        """Add to each number of a row the one of ``offsets`` at the index that ``dealt_to`` has for it."""
        name = node_of(rows)
        inputs = [
            self._constant(f"{name}/offsets", offsets, dtype, near=rows),
            dealt_to,
            self._constant(f"{name}/axis", 0, tf.int32, near=rows),
        ]
        types = {"Tparams": dtype, "Tindices": tf.int32, "Taxis": tf.int32}
        return self._sum(rows, self._add("GatherV2", f"{name}/offset", inputs, batch_dims=0, **types), dtype)

    def at_most(self, tensor: str, numbers: Sequence[int], dtype: tf.DType) -> str:
        """Limit each number of a tensor to one of these."""
        limit = self._constant(f"{node_of(tensor)}/limit", numbers, dtype, near=tensor)
        return self._add("Minimum", f"{node_of(tensor)}/minimum", [tensor, limit], T=dtype)

    def _sum(self, first: str, second: str, dtype: tf.DType) -> str:
        return self._add("AddV2", f"{node_of(first)}/add", [first, second], T=dtype)

    def _slice(self, tensor: str, begin: Sequence[int], end: Sequence[int], dtype: str, *, ellipsis_mask: int) -> str:
        name = f"{node_of(tensor)}/strided_slice"
        bounds = {"begin": begin, "end": end, "strides": [1] * len(begin)}
        inputs = [self._constant(f"{name}/{key}", value, tf.int64, near=tensor) for key, value in bounds.items()]
        masks = {"begin_mask": 0, "end_mask": 0, "new_axis_mask": 0, "shrink_axis_mask": 0}
        return self._add(
            "StridedSlice",
            name,
            [tensor, *inputs],
            T=tf.as_dtype(dtype),
            Index=tf.int64,
            ellipsis_mask=ellipsis_mask,
            **masks,
        )

    def _constant(self, name: str, values: Any, dtype: tf.DType, near: str) -> str:
        # A constant belongs to a loop only if it waits for a node of the loop.
        inputs = [f"^{node_of(near)}"] if node_of(near) in self._in_loops else []
        return self._add("Const", name, inputs, dtype=dtype, value=tf.make_tensor_proto(values, dtype=dtype))

    def _add(self, op: str, name: str, inputs: Sequence[str], **attributes: Any) -> str:
        node: Node = self._body.add(op, name, inputs, **attributes)
        if any(node_of(name) in self._in_loops for name in inputs):
            self._in_loops.add(node.name)
        return self._body.output(node)
