"""The nodes of a graph, or of a function, are found, renamed and left out, and what names them follows."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow.compat.v1 as v1
from tensorflow.core.framework import function_pb2, graph_pb2

from autodist_saved.graph.graph_def.body import Body, unused
from autodist_saved.graph.meta_graph_builder import describe
from autodist_saved.tf_internals.name_scope import own_scope
from tests.support.meta_graphs import request


def nodes(*inputs: tuple[str, str, list[str]]) -> graph_pb2.GraphDef:
    graph_def = graph_pb2.GraphDef()
    for name, op, names in inputs:
        graph_def.node.add(name=name, op=op, input=names)
    return graph_def


def test_a_name_that_is_taken_gets_the_first_free_number() -> None:
    assert unused("a", {"b"}) == "a"
    assert unused("a", {"a", "a_1"}) == "a_2"


def test_outputs_are_named_as_graphs_and_functions_name_them() -> None:
    graph_def = nodes(("split", "Split", []), ("many", "Unique", []))
    body = Body(graph_def)
    assert [body.output(body.nodes["split"], number) for number in (0, 1)] == ["split", "split:1"]
    assert body.canonical("split:0") == "split"
    function = function_pb2.FunctionDef(node_def=graph_def.node)
    inside = Body(function)
    assert inside.output(inside.nodes["split"], 1) == "split:output:1"
    assert inside.output(inside.nodes["many"], 1) == "many:idx:0"
    assert inside.canonical("split:output:0") == "split:output:0"
    assert inside.source("split:output:1") == (inside.nodes["split"], 1)
    assert inside.source("argument") == (None, 0)


def test_the_origin_is_before_all_that_only_pass_something_on(graph: tf.Graph) -> None:
    split = tf.split(tf.constant([1.0, 2.0]), 2, name="split")
    tf.identity(tf.identity(split[1]), name="last")
    body = Body(graph.as_graph_def())
    node, number = body.origin("last")
    assert node is not None
    assert (node.name, number) == ("split", 1)
    assert body.origin("elsewhere") == (None, 0)


def test_constants_have_a_value_wherever_they_were_passed_on(graph: tf.Graph) -> None:
    tf.identity(tf.constant([1, 2]), name="passed")
    tf.negative(tf.constant(1), name="computed")
    body = Body(graph.as_graph_def())
    np.testing.assert_array_equal(body.value("passed"), [1, 2])
    assert body.value("computed") is None


def test_what_is_needed_is_kept_and_nobody_waits_for_what_is_gone() -> None:
    graph_def = nodes(("a", "NoOp", []), ("b", "Add", ["a:1", "^c"]), ("c", "NoOp", []), ("d", "NoOp", ["^b"]))
    body = Body(graph_def)
    assert body.behind(["b:0", "not there"]) == {"a", "b", "c"}
    assert body.behind(["b"], lambda name: name != "^c") == {"a", "b"}
    body.prune(["b"], lambda name: name != "^c")
    assert [(node.name, list(node.input)) for node in graph_def.node] == [("a", []), ("b", ["a:1"])]
    assert body.nodes.keys() == {"a", "b"}


def test_inputs_and_colocation_follow_new_names() -> None:
    graph_def = nodes(("a", "NoOp", []), ("b", "Add", ["a", "a:1", "^a"]))
    for node in graph_def.node:
        node.attr["_class"].list.s[:] = [b"loc:@a", b"loc:@gone"]
    Body(graph_def).rename({"a": "new"})
    assert list(graph_def.node[1].input) == ["new", "new:1", "^new"]
    assert [list(node.attr["_class"].list.s) for node in graph_def.node] == [[b"loc:@new"]] * 2


def test_colocation_with_a_node_that_is_gone_is_ended_and_other_colocation_kept() -> None:
    graph_def = graph_pb2.GraphDef()
    for name, groups in (("a", [b"loc:@gone"]), ("b", [b"loc:@a", b"loc:@gone"]), ("c", [b"loc:@a", b"other"])):
        graph_def.node.add(name=name, op="NoOp").attr["_class"].list.s.extend(groups)
    Body(graph_def).mend_colocation()
    assert [list(node.attr["_class"].list.s) if "_class" in node.attr else None for node in graph_def.node] == [
        None,
        [b"loc:@a"],
        [b"loc:@a", b"other"],
    ]


def test_a_described_graph_can_be_imported_although_a_node_was_colocated_with_one_of_ours(graph: tf.Graph) -> None:
    with own_scope():
        hidden = tf.constant(1, name="hidden")
    with v1.colocate_with(hidden):
        tf.constant(1, name="kept")
    proto = describe(request(graph, clear_devices=False)).proto
    assert [node.name for node in proto.graph_def.node] == ["kept"]
    with tf.Graph().as_default():
        tf.import_graph_def(proto.graph_def, name="")


def test_groups_are_taken_apart_however_deep_they_are(graph: tf.Graph) -> None:
    first, second, alone = (tf.constant(0, name=name) for name in ("first", "second", "alone"))
    inner = tf.group(first, name="inner")
    tf.group(inner, second.op, name="outer")
    del alone
    body = Body(graph.as_graph_def())
    assert body.groups(["outer", "alone:0", "not there"]) == (["outer", "inner"], ["alone", "second", "first"])


def test_nodes_come_after_their_inputs_and_loops_go_around(graph: tf.Graph) -> None:
    v1.disable_control_flow_v2()
    try:
        v1.while_loop(lambda i: i < 3, lambda i: i + 1, [tf.constant(0)])
    finally:
        v1.enable_control_flow_v2()
    body = Body(graph.as_graph_def())
    places = {node.name: place for place, node in enumerate(body.in_order())}
    assert places.keys() == body.nodes.keys()
    around = {
        (node.name, name)
        for node in body.nodes.values()
        for name in body.nodes_of(node.input)
        if places[name] > places[node.name]
    }
    assert around == {("while/Merge", "while/NextIteration")}


def test_what_follows_a_loop_counts_as_being_in_one(graph: tf.Graph) -> None:
    tf.constant(1, name="before")
    assert Body(graph.as_graph_def()).in_loops() == set()
    v1.disable_control_flow_v2()
    try:
        total = v1.while_loop(lambda i: i < 3, lambda i: i + 1, [tf.constant(0)])
    finally:
        v1.enable_control_flow_v2()
    tf.negative(total, name="after")
    inside = Body(graph.as_graph_def()).in_loops()
    assert {"while/Enter", "while/Merge", "while/add", "while/Exit", "after"} <= inside
    assert not {"before", "Const"} & inside
