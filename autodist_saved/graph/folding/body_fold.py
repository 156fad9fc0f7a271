"""Folding in one graph, or in the body of one function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import tensorflow as tf

from autodist_saved.errors import Problem
from autodist_saved.graph.folding.lookups import Lookup, dealing_node
from autodist_saved.graph.folding.new_nodes import NewNodes
from autodist_saved.graph.folding.passed import Passed, passed
from autodist_saved.graph.folding.region import Region, joined
from autodist_saved.graph.graph_def.body import Body, as_dtype
from autodist_saved.tf_internals import private_api
from autodist_saved.tf_internals.graph_walk import Node, data_inputs, is_control, node_of
from autodist_saved.tf_internals.op_types import (
    ASK_WHETHER_INITIALIZED,
    CONCATENATIONS,
    LOOPS,
    PASS_THROUGH,
    STITCHES,
    SWITCHES,
)

# Takes a function's name, and the pieces whose handles it takes, by position of the argument; negative positions
# count from the end. Returns the name of a copy of it that takes whole variables' handles, and the pieces whose
# handles the copy returns, by position.
Specialize = Callable[[str, Mapping[int, Region]], tuple[str, Mapping[int, Region]]]

_FIX = (
    "read the variable with tf.convert_to_tensor() or tf.nn.embedding_lookup(), or build a graph for serving with "
    "add_meta_graph_from()"
)


@dataclass(frozen=True)
class _Lifted:
    """A tensor that was a piece, or a piece's handle, and now is the whole variable, or its handle."""

    region: Region
    is_handle: bool


class BodyFold:
    """One pass over the nodes of a body. It visits each node after the node's inputs.

    ``_lifted`` and ``_lookups`` have the former names of tensors as keys. ``_instead`` maps a former name to the
    tensor that now is the whole variable, or has the same value.

    Attributes:
        body: the nodes.
        problems: what cannot be folded.
        reads: names of the nodes that read whole variables.
    """

    def __init__(self, body: Body, place: str, specialize: Specialize) -> None:
        """``place``: where the body is, as errors write it before a node's name."""
        self.body = body
        self.problems: list[Problem] = []
        self.reads: set[str] = set()
        self._place = place
        self._specialize = specialize
        self._new = NewNodes(body)
        self._lifted: dict[str, _Lifted] = {}
        self._lookups: dict[str, Lookup] = {}
        self._instead: dict[str, str] = {}
        self._parts: dict[str, str] = {}
        self._waited_for: dict[str, str] = {}

    def lift(self, tensor: str, region: Region, *, is_handle: bool, instead: str | None = None) -> None:
        """Declare that a tensor is a piece, or its handle.

        Args:
            tensor: its name.
            region: the piece.
            is_handle: whether the tensor is the piece's handle.
            instead: the tensor that is the whole variable, or its handle; by default ``tensor`` itself.
        """
        self._lifted[tensor] = _Lifted(region, is_handle)
        if instead is not None:
            self._instead[tensor] = instead

    def run(self) -> None:
        """Edit the nodes, and fill :attr:`problems` and :attr:`reads`."""
        for node in self.body.in_order():
            inputs = [self.body.canonical(name) for name in data_inputs(node)]
            waits = [self._waited_for.get(name, name) for name in node.input if is_control(name)]
            node.input[:] = [*map(self._now, inputs), *waits]
            lifted = {at: self._lifted[name] for at, name in enumerate(inputs) if name in self._lifted}
            if lifted:
                self._visit(node, inputs, lifted)
            elif node.op in STITCHES:
                self._stitch(node, inputs)
            elif node.op == "Identity" and inputs[0] in self._lookups and len(node.input) == 1:
                self._lookups[self.body.output(node)] = self._lookups[inputs[0]]

    def needs(self, name: str) -> bool:
        """Whether an input is needed. Nobody needs to wait for a read: a served variable is never written."""
        return not (is_control(name) and node_of(name) in self.reads)

    @property
    def changed(self) -> set[str]:
        """Former names of the tensors that now have another value, or none."""
        parts = {name for name, one in self._lifted.items() if not (one.is_handle or one.region.is_whole)}
        return parts | self._instead.keys()

    def region_of_handle(self, tensor: str) -> Region | None:
        """The piece whose handle a tensor was; None for any other tensor."""
        lifted = self._lifted.get(self.body.canonical(tensor))
        return lifted.region if lifted is not None and lifted.is_handle else None

    def settled(self, tensor: str) -> str:
        """The tensor that now has the value which ``tensor`` had."""
        tensor = self.body.canonical(tensor)
        lifted = self._lifted.get(tensor)
        if lifted is None or lifted.is_handle or lifted.region.is_whole:
            return self._now(tensor)
        if tensor not in self._parts:
            self._check_slicing(tensor, lifted.region)
            self._parts[tensor] = self._new.part(self._now(tensor), lifted.region)
        return self._parts[tensor]

    def _check_slicing(self, tensor: str, region: Region) -> None:
        """A graph with an op that TensorFlow cannot run does not load, even if nothing needs the op."""
        if not private_api.has_cpu_kernel("StridedSlice", "T", tf.as_dtype(region.dtype)):
            what = f"{self._place}{tensor!r} is a part of it, and TensorFlow cannot slice {region.dtype}"
            fix = "export the complete graph, or leave the variable whole"
            self.problems.append(Problem(f"variable {region.variable!r}", what, fix))

    def _now(self, tensor: str) -> str:
        return self._instead.get(tensor, tensor)

    def _visit(self, node: Node, inputs: Sequence[str], lifted: Mapping[int, _Lifted]) -> None:
        first = lifted.get(0)
        handles = {at: one.region for at, one in lifted.items() if one.is_handle}
        if first is not None and node.op in PASS_THROUGH:
            for number in range(2 if node.op in SWITCHES else 1):
                self._lifted[self.body.output(node, number)] = first
        elif node.op in ASK_WHETHER_INITIALIZED:
            return  # what they say of a variable holds for each of its pieces
        elif handles and (calls := passed(node, len(inputs))):
            self._call(node, calls, handles)
            self._settle(node, inputs, lifted)
        elif first is not None and first.is_handle and len(handles) == 1:
            self._use_handle(node, first)
        elif handles or _takes_reference(node, lifted):
            self._refuse(node, next(iter(lifted.values())).region)
        elif node.op in CONCATENATIONS:
            self._concatenate(node, inputs, lifted)
        elif first is not None and self._is_of_rows(node):
            self._look_up(node, first)
        else:
            self._settle(node, inputs, lifted)

    def _settle(self, node: Node, inputs: Sequence[str], lifted: Mapping[int, _Lifted]) -> None:
        for at in lifted:
            node.input[at] = self.settled(inputs[at])

    def _use_handle(self, node: Node, handle: _Lifted) -> None:
        if node.op == "ReadVariableOp":
            self.reads.add(node.name)
            self.lift(self.body.output(node), handle.region, is_handle=False)
        elif node.op == "ResourceGather" and not node.attr["batch_dims"].i:
            self.reads.add(node.name)
            self._look_up(node, handle)
        elif node.op == "ResourceGatherNd":
            self._read_first(node, handle.region)
        elif node.op == "VariableShape":
            output = self.body.output(node)
            dtype = as_dtype(node, "out_type") if "out_type" in node.attr else tf.int32  # TensorFlow's default
            self._instead[output] = self._new.at_most(output, handle.region.shape, dtype)
        else:
            self._refuse(node, handle.region)

    def _read_first(self, node: Node, region: Region) -> None:
        """Read the piece first, and look up in what was read, instead of in the variable."""
        node.op = "GatherNd"
        node.attr["Tparams"].CopyFrom(node.attr.pop("dtype"))
        node.input[0] = self._new.part(self._new.read(node.input[0], region), region)

    def _is_of_rows(self, node: Node) -> bool:
        """Whether a node looks up rows of its first input."""
        if node.op != "GatherV2":
            return bool(node.op == "Gather")
        axis = self.body.value(node.input[2])
        return axis is not None and int(axis) == 0 and not node.attr["batch_dims"].i

    def _look_up(self, node: Node, params: _Lifted) -> None:
        region, rows, output = params.region, node.input[1], self.body.output(node)
        if region.offset[0]:
            node.input[1] = self._new.rows(rows, region.offset[0], as_dtype(node, "Tindices"))
        if not region.has_whole_rows:
            self._check_slicing(output, region)
            self._instead[output] = self._new.columns(output, region)
        self._lookups[output] = Lookup(region, node, rows)

    def _concatenate(self, node: Node, inputs: Sequence[str], lifted: Mapping[int, _Lifted]) -> None:
        """Neighbouring pieces that are concatenated are one larger piece, or the whole variable."""
        at_axis = 0 if node.op == "Concat" else len(inputs) - 1
        parts = [at for at in range(len(inputs)) if at != at_axis]
        axis = self.body.value(node.input[at_axis])
        region = None
        if axis is not None and set(parts) == set(lifted):
            region = joined([lifted[at].region for at in parts], int(axis))
        if region is None:
            self._settle(node, inputs, lifted)
            return
        whole, controls = node.input[parts[0]], [name for name in node.input if is_control(name)]
        if controls:
            node.CopyFrom(Node(name=node.name, op="Identity", input=[whole, *controls], attr={"T": node.attr["T"]}))
            self.lift(self.body.output(node), region, is_handle=False)
            return
        self.lift(self.body.output(node), region, is_handle=False, instead=whole)
        self._waited_for[f"^{node.name}"] = f"^{node_of(whole)}"

    def _stitch(self, node: Node, inputs: Sequence[str]) -> None:
        """Rows of pieces that are put back into order are rows of the whole variable.

        A row's number in the variable is its number in the piece plus the piece's offset. That is so for every
        strategy of distributing rows.
        """
        half = len(inputs) // 2
        lookups = [self._lookups[name] for name in inputs[half:] if name in self._lookups]
        dealer = dealing_node(self.body, inputs[:half], lookups) if len(lookups) == half else None
        if dealer is None:
            return
        output, first = self.body.output(node), lookups[0]
        dtype = as_dtype(first.node, "Tindices")
        offsets = [lookup.region.offset[0] for lookup in lookups]
        rows = self._new.dealt_rows(dealer.input[0], dealer.input[1], offsets, dtype)
        name, waiting = node.name, [node, *(lookup.node for lookup in lookups)]
        control = dict.fromkeys(name for one in waiting for name in one.input if is_control(name))
        node.CopyFrom(first.node)
        node.name = name
        node.input[:] = [first.node.input[0], rows, *data_inputs(first.node)[2:], *control]
        self.reads.add(name)
        self._instead[output] = self.body.output(node)
        if not first.region.has_whole_rows:
            self._instead[output] = self._new.columns(self.body.output(node), first.region)

    def _call(self, node: Node, calls: Sequence[Passed], handles: Mapping[int, Region]) -> None:
        returned: list[Mapping[int, Region]] = []
        if not all(any(at in call.inputs for call in calls) for at in handles):
            self._refuse(node, next(iter(handles.values())))
            return
        for call in calls:
            arguments = {call.first + at - call.inputs.start: handles[at] for at in call.inputs if at in handles}
            if not arguments:
                continue
            for function in call.functions:
                function.name, regions = self._specialize(function.name, arguments)
                returned.append(regions)
            if node.op in LOOPS:
                returned[1:] = [arguments]  # the condition, which is last, returns no handles; the body what it takes
        if any(regions != returned[0] for regions in returned):
            self._refuse(node, next(iter(handles.values())))
            return
        for number, region in returned[0].items():
            self.lift(self.body.output(node, number), region, is_handle=True)

    def _refuse(self, node: Node, region: Region) -> None:
        what = f"{self._place}{node.name!r} ({node.op}) takes a piece of it, and cannot take the whole variable"
        self.problems.append(Problem(f"variable {region.variable!r}", what, _FIX))


def _takes_reference(node: Node, lifted: Mapping[int, _Lifted]) -> bool:
    definition = private_api.op_definition(node.op)
    return definition is not None and any(
        argument.is_ref for at, argument in enumerate(definition.input_arg) if at in lifted
    )
