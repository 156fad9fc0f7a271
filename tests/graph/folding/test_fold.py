"""Partitioned variables are one variable each in a serving graph, and every answer is the same to the bit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import autodist_saved as ads
from autodist_saved.errors import SignatureError
from tests.support.served import ask, export, grid, ops, signatures, variables

ROWS, COLUMNS = 11, 4
IDS = np.array([3, 10, 0, 3, 7, 4], np.int32)


@pytest.fixture(params=["resource", "reference"])
def use_resource(request: pytest.FixtureRequest) -> bool:
    return request.param == "resource"


@pytest.fixture(params=["v1", "v2"])
def control_flow(request: pytest.FixtureRequest) -> Iterator[str]:
    was_v2 = v1.control_flow_v2_enabled()
    (v1.enable_control_flow_v2 if request.param == "v2" else v1.disable_control_flow_v2)()
    yield request.param
    (v1.enable_control_flow_v2 if was_v2 else v1.disable_control_flow_v2)()


def table(name: str = "table", parts: int = 3, axis: int = 0, **arguments: Any) -> Any:
    partitioner = v1.fixed_size_partitioner(parts, axis=axis)
    return v1.get_variable(name, [ROWS, COLUMNS], initializer=_numbered, partitioner=partitioner, **arguments)


def _numbered(shape: Any, dtype: tf.DType, partition_info: Any) -> tf.Tensor:
    """Every element has a value of its own; a random one with a seed would have the same in each piece."""
    whole = np.arange(ROWS * COLUMNS, dtype=np.float32).reshape(ROWS, COLUMNS)
    top, left = partition_info.var_offset
    return tf.constant(whole[top : top + shape[0], left : left + shape[1]], dtype)


def ids() -> tf.Tensor:
    return v1.placeholder(tf.int32, [None], "ids")


def served(x: tf.Tensor, y: Any, path: Path, feed: Any = IDS) -> Any:
    """The meta graph that is served; its answers were compared with those of the job."""
    outputs = dict(enumerate(y)) if isinstance(y, list) else {0: y}
    named = {f"y{number}": tensor for number, tensor in outputs.items()}
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        live = session.run(named, {x: feed})
        export(session, path, saver, signatures({"x": x}, named))
    answers, meta_graph = ask(path, {"x": feed})
    for key, value in live.items():
        np.testing.assert_array_equal(answers[key], value, err_msg=key)
    assert b"part_" not in (path / "saved_model.pb").read_bytes()
    assert b"piece_" not in (path / "saved_model.pb").read_bytes()
    held = [node.name for node in meta_graph.graph_def.node if node.op in {"VarHandleOp", "VariableV2"}]
    assert sorted(held) == sorted(variables(path)), "one variable for each name, called by it"
    return meta_graph


STRATEGIES: dict[str, Callable[[Any, tf.Tensor], tf.Tensor]] = {
    "div": lambda t, x: v1.nn.embedding_lookup(t, x, "div"),
    "mod": lambda t, x: v1.nn.embedding_lookup(t, x % 9, "mod"),
    "two dimensions": lambda t, x: v1.nn.embedding_lookup(t, tf.reshape(x, [2, -1]), "div"),
}


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_lookup_in_all_pieces_is_one_lookup(graph: tf.Graph, tmp_path: Path, use_resource: bool, name: str) -> None:
    x = ids()
    meta_graph = served(x, STRATEGIES[name](table(use_resource=use_resource), x), tmp_path / "model")
    counted = Counter(ops(meta_graph))
    assert not {"DynamicPartition", "ParallelDynamicStitch", "StridedSlice"} & counted.keys()
    if use_resource:
        assert counted["ResourceGather"] == 1
    else:
        gathers = [node for node in meta_graph.graph_def.node if node.op == "GatherV2"]
        assert len([node for node in gathers if node.input[0].startswith("table")]) == 1


def test_a_lookup_of_what_was_looked_up_is_folded_twice(graph: tf.Graph, tmp_path: Path, use_resource: bool) -> None:
    x = ids()
    first = v1.get_variable(
        "next",
        [ROWS],
        tf.int32,
        v1.random_uniform_initializer(0, ROWS, seed=1, dtype=tf.int32),
        partitioner=v1.fixed_size_partitioner(4),
        use_resource=use_resource,
    )
    following = v1.nn.embedding_lookup(first, v1.nn.embedding_lookup(first, x, "div"), "div")
    meta_graph = served(x, v1.nn.embedding_lookup(table(use_resource=use_resource), following, "div"), tmp_path / "m")
    assert "ParallelDynamicStitch" not in ops(meta_graph)
    if use_resource:
        assert ops(meta_graph).count("ResourceGather") == 3


@pytest.mark.parametrize("axis", [0, 1])
def test_pieces_that_are_put_together_are_one_read(
    graph: tf.Graph, tmp_path: Path, use_resource: bool, axis: int
) -> None:
    x = ids()
    whole = tf.convert_to_tensor(table(axis=axis, use_resource=use_resource))
    meta_graph = served(x, [tf.gather(whole, x), tf.matmul(tf.one_hot(x, ROWS), whole)], tmp_path / "model")
    assert not {"Concat", "ConcatV2", "StridedSlice"} & set(ops(meta_graph))


def test_collections_name_only_what_is_as_it_was(graph: tf.Graph, tmp_path: Path) -> None:
    x, pieces = ids(), list(table(use_resource=True))
    read = tf.identity(pieces[1])
    y = tf.gather(read, x % 3) * 2.0
    for tensor in (read, y, tf.zeros([])):
        v1.add_to_collection("seen", tensor)
    meta_graph = served(x, y, tmp_path / "model")
    assert meta_graph.collection_def["seen"].node_list.value == [y.name]


def test_who_waits_for_pieces_to_be_put_together_waits_for_their_read(graph: tf.Graph, tmp_path: Path) -> None:
    x, whole = ids(), tf.convert_to_tensor(table(use_resource=True))
    with tf.control_dependencies([whole.op, whole.op.inputs[0].op]):
        y = tf.identity(x)
    meta_graph = served(x, [y, tf.gather(whole, x)], tmp_path / "model")
    assert "ConcatV2" not in ops(meta_graph)


def test_a_grid_that_is_put_together_is_one_read(graph: tf.Graph, tmp_path: Path, use_resource: bool) -> None:
    x, array = ids(), np.random.default_rng(1).normal(size=[ROWS, COLUMNS]).astype(np.float32)
    pieces = grid("table", array, [3, 7], [1], use_resource=use_resource)
    whole = tf.concat([tf.concat(row, 1) for row in pieces], 0)
    meta_graph = served(x, tf.gather(whole, x), tmp_path / "model")
    assert not {"Concat", "ConcatV2", "StridedSlice"} & set(ops(meta_graph))


USES: dict[str, Callable[[Any, tf.Tensor], tf.Tensor]] = {
    "each by itself": lambda t, x: [tf.reduce_sum(piece) * tf.cast(x[0], tf.float32) for piece in t],
    "rows of one": lambda t, x: tf.gather(list(t)[1], x % 3),
    "columns of one": lambda t, x: tf.gather(list(t)[1], x % 2, axis=1),
    "rows of one by their places": lambda t, x: tf.gather_nd(list(t)[1], (x % 3)[:, None]),
    "some put together": lambda t, x: tf.concat(list(t)[1:], 0) + tf.cast(x[0], tf.float32),
    "put together in another order": lambda t, x: tf.concat(list(t)[::-1], 0) + tf.cast(x[0], tf.float32),
    "clipped lookup": lambda t, x: v1.nn.embedding_lookup(t, x, "div", max_norm=0.5),
    "weighted lookup": lambda t, x: v1.nn.embedding_lookup_sparse(t, _sparse(x), None, "div", combiner="mean"),
    "safe lookup": lambda t, x: v1.nn.safe_embedding_lookup_sparse(list(t), _sparse(x), partition_strategy="div"),
}


def _sparse(x: tf.Tensor) -> tf.SparseTensor:
    count = tf.cast(tf.size(x), tf.int64)
    rows = tf.range(count) // 2
    return tf.SparseTensor(tf.stack([rows, tf.range(count)], 1), tf.cast(x, tf.int64), [count, count])


@pytest.mark.parametrize("name", USES)
def test_whatever_is_done_with_pieces_is_done_with_parts(
    graph: tf.Graph, tmp_path: Path, use_resource: bool, name: str
) -> None:
    x = ids()
    served(x, USES[name](table(use_resource=use_resource), x), tmp_path / "model")


def test_rows_of_a_piece_are_looked_up_one_by_one(
    graph: tf.Graph, tmp_path: Path, use_resource: bool, control_flow: str
) -> None:
    x, pieces = ids(), list(table(use_resource=use_resource))
    served(x, tf.map_fn(lambda number: tf.gather(pieces[1], number % 3), x, tf.float32), tmp_path / "model")


def test_rows_that_a_loop_has_counted_are_looked_up_in_the_loop_around_it(
    graph: tf.Graph, tmp_path: Path, use_resource: bool, control_flow: str
) -> None:
    x, pieces = ids(), list(table(use_resource=use_resource))

    def add_rows(i: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        _, rows = v1.while_loop(lambda j, _: j < 2, lambda j, rows: (j + 1, (rows + 1) % 3), [0, x % 3])
        return i + 1, total + tf.gather(pieces[1], tf.identity(rows))

    _, total = v1.while_loop(lambda i, _: i < 3, add_rows, [0, tf.zeros([tf.size(x), COLUMNS])])
    served(x, total, tmp_path / "model")


@pytest.mark.parametrize("feed", [IDS, IDS[:2]], ids=["one branch", "the other branch"])
def test_pieces_are_folded_in_loops_and_branches(
    graph: tf.Graph, tmp_path: Path, use_resource: bool, control_flow: str, feed: Any
) -> None:
    x, columns = ids(), table("columns", axis=1, use_resource=use_resource)
    rows = list(table(use_resource=use_resource))

    def looked_up() -> tf.Tensor:
        return v1.nn.embedding_lookup(rows, x, "div")

    branched = v1.cond(tf.size(x) > 3, looked_up, lambda: tf.gather(tf.convert_to_tensor(columns), x))
    one = v1.cond(tf.size(x) > 3, lambda: rows[1] * 2.0, lambda: rows[2][:1] + rows[0][:3])
    _, looped = v1.while_loop(
        lambda i, _: i < 3,
        lambda i, total: (i + 1, total + looked_up() + tf.gather(rows[2], [1]) + rows[1][:1]),
        [0, tf.zeros([tf.size(x), COLUMNS])],
    )
    nested = v1.cond(
        tf.size(x) > 3,
        lambda: v1.while_loop(lambda i: tf.reduce_sum(i) < 50.0, lambda i: i + rows[1][0, 0] ** 2 + 1, [1.0]),
        lambda: tf.reduce_sum(list(columns)[1]),
    )
    served(x, [branched, one, looped, nested], tmp_path / "model", feed)


def test_functions_get_the_whole_of_each_piece_that_they_were_given(
    graph: tf.Graph, tmp_path: Path, use_resource: bool
) -> None:
    x, pieces = ids(), list(table(use_resource=use_resource))

    @tf.function
    def inner(values: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        return tf.gather(values, rows)

    @tf.function
    def outer(rows: tf.Tensor) -> tf.Tensor:
        return inner(pieces[2], rows) + inner(pieces[1], rows) + tf.reduce_sum(pieces[0])

    @tf.function
    def lookup(rows: tf.Tensor) -> tf.Tensor:
        return v1.nn.embedding_lookup(pieces, rows, "div")

    served(x, [outer(x % 3), outer(x % 2), lookup(x)], tmp_path / "model")


def _in_batches(key: Any, dataset: Any) -> Any:
    return dataset.batch(len(IDS))


DATASETS: dict[str, Callable[[Any, Any], Any]] = {
    "map": lambda dataset, look_up: dataset.map(look_up),
    "parallel map": lambda dataset, look_up: dataset.map(look_up, num_parallel_calls=2),
    "flat map": lambda dataset, look_up: dataset.flat_map(lambda x: tf.data.Dataset.from_tensors(look_up(x))),
    "interleave": lambda dataset, look_up: dataset.interleave(lambda x: tf.data.Dataset.from_tensors(look_up(x)), 2),
    "filter": lambda dataset, look_up: dataset.filter(lambda x: look_up(x)[0] > 12.0),
    "scan": lambda dataset, look_up: dataset.scan(tf.zeros(COLUMNS), lambda s, x: (s + look_up(x), s * look_up(x))),
    "reduce": lambda dataset, look_up: tf.data.Dataset.from_tensors(
        dataset.reduce(tf.zeros(COLUMNS), lambda s, x: s * 2.0 + look_up(x))
    ),
    "group by window": lambda dataset, look_up: dataset.group_by_window(
        lambda x: tf.cast(look_up(x)[0], tf.int64) % 2, _in_batches, 3
    ).unbatch(),
    "map of a map": lambda dataset, look_up: dataset.flat_map(lambda x: tf.data.Dataset.from_tensors(x).map(look_up)),
}


@pytest.mark.parametrize("name", DATASETS)
def test_functions_of_datasets_get_the_whole_of_each_piece_that_they_have_captured(
    graph: tf.Graph, tmp_path: Path, name: str
) -> None:
    x, pieces = ids(), table(use_resource=True)

    def look_up(row: tf.Tensor) -> tf.Tensor:
        return tf.gather(tf.convert_to_tensor(pieces), row) + v1.nn.embedding_lookup(pieces, row, "div")

    dataset = DATASETS[name](tf.data.Dataset.from_tensor_slices(x), look_up)
    y = tf.data.experimental.get_single_element(dataset.batch(100))
    served(x, y, tmp_path / "model")


def test_a_lookup_in_a_function_is_one_lookup(graph: tf.Graph, tmp_path: Path) -> None:
    x, pieces = ids(), list(table(use_resource=True))

    @tf.function
    def lookup(rows: tf.Tensor) -> tf.Tensor:
        return v1.nn.embedding_lookup(pieces, rows, "div")

    found = ops(served(x, lookup(x), tmp_path / "model"))
    assert found.count("ResourceGather") == 1
    assert "ParallelDynamicStitch" not in found


def test_a_variable_of_one_piece_is_whole(graph: tf.Graph, tmp_path: Path, use_resource: bool) -> None:
    x = ids()
    meta_graph = served(x, v1.nn.embedding_lookup(table(parts=1, use_resource=use_resource), x), tmp_path / "model")
    assert "StridedSlice" not in ops(meta_graph)


def test_a_variable_is_whole_though_only_one_piece_of_it_is_read(graph: tf.Graph, tmp_path: Path) -> None:
    x = ids()
    served(x, tf.gather(list(table())[1], x % 3), tmp_path / "model")
    assert variables(tmp_path / "model")["table"].shape == (ROWS, COLUMNS)


def test_a_piece_has_its_own_shape(graph: tf.Graph, tmp_path: Path) -> None:
    x, pieces = ids(), list(table(axis=1, use_resource=True))
    served(x, [tf.raw_ops.VariableShape(input=piece.handle) for piece in pieces], tmp_path / "model")


def test_the_table_itself_may_be_an_output(graph: tf.Graph, tmp_path: Path, use_resource: bool) -> None:
    x, whole = ids(), table(use_resource=use_resource)
    served(x, [whole.as_tensor(), list(whole)[1].read_value(), tf.identity(x)], tmp_path / "model")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.integers(1, ROWS - 1), max_size=3, unique=True).map(sorted),
    columns=st.lists(st.integers(1, COLUMNS - 1), max_size=2, unique=True).map(sorted),
    is_resource=st.booleans(),
)
def test_any_grid_is_folded(
    tmp_path_factory: pytest.TempPathFactory, rows: list[int], columns: list[int], is_resource: bool
) -> None:
    array = np.arange(ROWS * COLUMNS, dtype=np.float32).reshape(ROWS, COLUMNS)
    with tf.Graph().as_default():
        x = ids()
        pieces = grid("table", array, rows, columns, use_resource=is_resource)
        ids_max = len(pieces) * min(row[0].shape[0] for row in pieces)
        looked_up = [v1.nn.embedding_lookup(list(column), x % ids_max, "mod") for column in zip(*pieces, strict=True)]
        whole = tf.concat([tf.concat(row, 1) for row in pieces], 0)
        each = [tf.gather(piece, x % piece.shape[0]) for row in pieces for piece in row]
        served(x, [*looked_up, tf.gather(whole, x), *each], tmp_path_factory.mktemp("grid") / "model")


def test_what_cannot_be_folded_is_named_all_of_it(graph: tf.Graph, tmp_path: Path) -> None:
    x, pieces, others = ids(), list(table(use_resource=True)), list(table("other", use_resource=False))
    written = tf.raw_ops.ResourceScatterAdd(resource=pieces[1].handle, indices=[0], updates=tf.ones([1, COLUMNS]))
    assigned = others[0].assign(others[0] * 2.0)
    with tf.control_dependencies([written, assigned.op]):
        y = tf.identity(x)
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        with pytest.raises(SignatureError) as caught:
            export(session, tmp_path / "model", saver, signatures({"x": x}, {"y": y}))
    assert sorted(problem.place for problem in caught.value.problems) == ["variable 'other'", "variable 'table'"]
    assert "'ResourceScatterAdd' (ResourceScatterAdd)" in str(caught.value)
    assert "(Assign)" in str(caught.value)
    assert "add_meta_graph_from()" in caught.value.problems[0].fix
    assert not (tmp_path / "model").exists()


def test_a_variable_that_is_called_as_the_whole_stays_another_one(
    graph: tf.Graph, tmp_path: Path, use_resource: bool
) -> None:
    x, pieces = ids(), table("emb", use_resource=use_resource)
    dense = tf.Variable(np.full([ROWS, COLUMNS], -1.0, np.float32), name="table", use_resource=use_resource)
    saver = ads.Saver({"dense": dense, "table": pieces})
    y = {"dense": tf.gather(dense, x), "table": v1.nn.embedding_lookup(pieces, x, "div")}
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        live = session.run(y, {x: IDS})
        export(session, tmp_path / "model", saver, signatures({"x": x}, y))
    answers, _ = ask(tmp_path / "model", {"x": IDS})
    for key, value in live.items():
        np.testing.assert_array_equal(answers[key], value, err_msg=key)


def test_a_key_that_no_node_can_be_called_by_is_kept(graph: tf.Graph, tmp_path: Path) -> None:
    x, pieces = ids(), table("emb", use_resource=True)
    y = v1.nn.embedding_lookup(pieces, x, "div")
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        live = session.run(y, {x: IDS})
        export(session, tmp_path / "model", ads.Saver({"my table \u00e9:0": pieces}), signatures({"x": x}, {"y": y}))
    answers, _ = ask(tmp_path / "model", {"x": IDS})
    np.testing.assert_array_equal(answers["y"], live)
    assert list(variables(tmp_path / "model")) == ["my table \u00e9:0"]


def test_rows_that_are_dealt_out_several_at_a_time_are_looked_up_by_pieces(
    graph: tf.Graph, tmp_path: Path, use_resource: bool
) -> None:
    x, pieces = ids(), list(table(use_resource=use_resource))
    rows = tf.dynamic_partition(tf.stack([x % 3] * 6, 1), x % 3, 3)
    places = tf.dynamic_partition(tf.range(tf.size(x)), x % 3, 3)
    found = [tf.gather(piece, of_piece) for piece, of_piece in zip(pieces, rows, strict=True)]
    served(x, tf.dynamic_stitch(places, found), tmp_path / "model")


@pytest.mark.parametrize("where", ["concatenation", "lookups", "stitching", "dealing"])
def test_what_folded_nodes_wait_for_still_happens(
    graph: tf.Graph, tmp_path: Path, use_resource: bool, where: str
) -> None:
    x, pieces = ids(), list(table(use_resource=use_resource))
    counter = v1.get_variable("counter", initializer=0, use_resource=True)

    def waiting(here: str) -> Any:
        return tf.control_dependencies([counter.assign_add(1).op] if here == where else [])

    if where == "concatenation":
        reads = [tf.identity(piece) for piece in pieces]
        with waiting("concatenation"):
            y = tf.gather(tf.concat(reads, 0), x)
    else:
        with waiting("dealing"):
            rows = tf.dynamic_partition(x // 4, x % 3, 3)
        places = tf.dynamic_partition(tf.range(tf.size(x)), x % 3, 3)
        with waiting("lookups"):
            found = [tf.gather(piece, of_piece) for piece, of_piece in zip(pieces, rows, strict=True)]
        with waiting("stitching"):
            y = tf.dynamic_stitch(places, found)
    with tf.control_dependencies([y]):
        count = counter.read_value()
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        export(session, tmp_path / "model", saver, signatures({"x": x}, {"y": y, "count": count}))
        live = session.run({"y": y, "count": count}, {x: IDS})
    answers, _ = ask(tmp_path / "model", {"x": IDS})
    np.testing.assert_array_equal(answers["y"], live["y"])
    assert answers["count"] == live["count"] == 1
