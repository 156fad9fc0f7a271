"""What is needed stays in a graph and its library, and nothing else."""

from __future__ import annotations

from tensorflow.core.framework import graph_pb2

from autodist_saved.graph.graph_def.prune import prune


def graph_with_functions() -> graph_pb2.GraphDef:
    graph_def = graph_pb2.GraphDef()
    for name, inputs in (("a", []), ("b", ["a:1", "^c"]), ("c", []), ("d", ["b"])):
        graph_def.node.add(name=name, op="NoOp", input=inputs)
    call = graph_def.node.add(name="call", op="StatefulPartitionedCall", input=["a"])
    call.attr["f"].func.name = "outer"
    branches = graph_def.node.add(name="branches", op="Case", input=["a"])
    branches.attr["branches"].list.func.add(name="branch")
    graph_def.node.add(name="direct", op="called_by_name")
    for name in ("outer", "inner", "branch", "called_by_name", "nobody_calls"):
        graph_def.library.function.add().signature.name = name
    graph_def.library.function[0].node_def.add(name="n", op="PartitionedCall").attr["f"].func.name = "inner"
    graph_def.library.gradient.add(function_name="outer", gradient_func="nobody_calls")
    return graph_def


def test_nodes_stay_that_are_needed_or_waited_for() -> None:
    graph_def = graph_with_functions()
    prune(graph_def, ["b"])
    assert [node.name for node in graph_def.node] == ["a", "b", "c"]


def test_functions_stay_that_are_called_however_it_is_done_and_gradients_go() -> None:
    graph_def = graph_with_functions()
    prune(graph_def, ["call", "branches", "direct:0"])
    names = [function.signature.name for function in graph_def.library.function]
    assert names == ["outer", "inner", "branch", "called_by_name"]
    assert not graph_def.library.gradient
    prune(graph_def, ["a"])
    assert not graph_def.library.function
