"""The walk over graphs visits what can be reached, each place once, and no more than it is asked for."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1
from hypothesis import given
from hypothesis import strategies as st
from tensorflow.core.framework import graph_pb2

import autodist_saved
from autodist_saved.tf_internals.graph_walk import (
    called_functions,
    consumers,
    data_inputs,
    functions_called,
    functions_of,
    is_control,
    node_of,
    placeholders_behind,
    producers,
    walk,
)

edges = st.dictionaries(st.integers(0, 9), st.lists(st.integers(0, 9), max_size=4))


def closure(ways: dict[int, list[int]], starts: list[int]) -> set[int]:
    """What is reached, as a definition: the least set that holds the starts, and all that its members lead to."""
    found = set(starts)
    while True:
        more = found.union(*(ways.get(place, []) for place in found))
        if more == found:
            return found
        found = more


@given(edges, st.lists(st.integers(0, 9)))
def test_all_that_can_be_reached_is_visited_once(ways: dict[int, list[int]], starts: list[int]) -> None:
    visited = list(walk(starts, lambda place: ways.get(place, [])))
    assert sorted(visited) == sorted(closure(ways, starts))


def test_the_nearest_are_visited_first_in_the_order_of_the_way() -> None:
    ways = {"a": "bc", "b": "d", "c": "ae", "d": "", "e": "f", "f": ""}
    assert "".join(walk("a", ways.__getitem__)) == "abcdef"


def test_a_walk_that_is_left_asks_no_further() -> None:
    asked = []

    def onward(place: int) -> Iterator[int]:
        asked.append(place)
        yield place + 1  # without an end

    assert next(place for place in walk([0], onward) if place == 3) == 3
    assert asked == [0, 1, 2]


def test_an_operation_has_producers_and_consumers_of_values_and_of_order(graph: tf.Graph) -> None:
    value, other = tf.constant(1.0, name="value"), tf.no_op("other")
    with tf.control_dependencies([other]):
        negative = tf.negative(value, name="negative")
    absolute = tf.abs(negative, name="absolute")
    assert list(producers(negative.op)) == [value.op, other]
    assert list(consumers(other)) == [negative.op]
    assert list(consumers(negative.op)) == [absolute.op]
    assert set(walk([absolute.op], producers)) == set(graph.get_operations())


def test_placeholders_are_found_behind_values_and_behind_what_is_waited_for(graph: tf.Graph) -> None:
    waited_for, fed, _ = (v1.placeholder(tf.float32, [], name) for name in ("waited_for", "fed", "elsewhere"))
    with tf.control_dependencies([tf.identity(waited_for)]):
        result = tf.add(fed, v1.placeholder_with_default(1.0, []))
    assert placeholders_behind(result.op) == [fed.op, waited_for.op]


@pytest.mark.parametrize("name", ["a", "a:1", "a:output:0", "^a"])
def test_an_input_names_its_node(name: str) -> None:
    assert node_of(name) == "a"
    assert is_control(name) is (name == "^a")


def test_the_inputs_of_a_node_are_values_and_what_it_waits_for() -> None:
    node = graph_pb2.GraphDef().node.add(name="n", op="Add", input=["a", "b:1", "^c"])
    assert data_inputs(node) == ["a", "b:1"]


def test_functions_are_called_by_attributes_by_their_own_type_and_by_each_other() -> None:
    graph_def = graph_pb2.GraphDef()
    graph_def.node.add(name="call", op="StatefulPartitionedCall").attr["f"].func.name = "outer"
    branches = graph_def.node.add(name="branches", op="Case")
    for name in ("first", "second"):
        branches.attr["branches"].list.func.add(name=name)
    graph_def.node.add(name="direct", op="called_by_type")
    for name in ("outer", "first", "second", "called_by_type", "inner", "nobody_calls"):
        graph_def.library.function.add().signature.name = name
    outer = graph_def.library.function[0]
    for name in ("inner", "outer", "not_in_the_library"):
        outer.node_def.add(name=name, op="PartitionedCall").attr["f"].func.name = name
    assert [function.name for function in called_functions(branches)] == ["first", "second"]
    called = functions_called(graph_def.node, functions_of(graph_def.library))
    assert [function.signature.name for function in called] == ["outer", "first", "second", "called_by_type", "inner"]


def test_nobody_else_walks_over_graphs() -> None:
    """A walk by hand is a loop that takes what waits out of a list; there were twelve, each with its own mistakes."""
    package = Path(autodist_saved.__file__).parent
    for path in (path for room in ("graph", "job", "sources") for path in (package / room).rglob("*.py")):
        for loop in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.While)):
            called = {node.attr for node in ast.walk(loop) if isinstance(node, ast.Attribute)}
            assert not {"pop", "popleft"} & called, f"{path}:{loop.lineno}"
