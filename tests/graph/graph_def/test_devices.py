"""Devices of the cluster are cleared wherever a graph can name them."""

from __future__ import annotations

from typing import Any

import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1
from tensorflow.core.framework import graph_pb2

from autodist_saved.errors import GraphError, SignatureError
from autodist_saved.graph.checks.check import check
from autodist_saved.graph.graph_def.devices import clear_devices
from autodist_saved.graph.meta_graph_builder import describe
from tests.support.meta_graphs import request

PS = "/job:ps/replica:0/task:1"


@pytest.fixture
def placed(graph: tf.Graph) -> graph_pb2.GraphDef:
    """A graph with devices everywhere: of ops, in functions, and in attributes."""

    @tf.function
    def double(value: tf.Tensor) -> tf.Tensor:
        with tf.device(f"{PS}/device:GPU:0"):
            return value * 2.0

    with tf.device(f"{PS}/device:CPU:0"):
        x = v1.placeholder(tf.float32, [], "x")
    with tf.device(PS):
        tf.identity(double(x), name="y")
    tf.raw_ops.VarHandleOp(
        dtype=tf.float32, shape=[], name="handle", allowed_devices=[f"{PS}/device:CPU:0", "/job:ps"]
    )
    graph_def = graph.as_graph_def()
    (call,) = [node for node in graph_def.node if "config_proto" in node.attr]
    config = v1.ConfigProto(device_filters=["/job:ps"], allow_soft_placement=True)
    config.experimental.collective_group_leader = "/job:worker/task:0"
    config.cluster_def.job.add(name="ps").tasks[0] = "/job:ps"
    call.attr["config_proto"].s = config.SerializeToString()
    (function,) = graph_def.library.function
    function.attr["forward"].func.name = "f"
    function.attr["forward"].func.attr["device"].s = f"{PS}/device:CPU:0".encode()
    function.arg_attr[0].attr["_device"].s = PS.encode()
    return graph_def


def devices(graph_def: graph_pb2.GraphDef) -> dict[str, str]:
    nodes = [*graph_def.node, *(node for function in graph_def.library.function for node in function.node_def)]
    return {node.name: node.device for node in nodes if node.name in {"x", "y", "mul"}}


def attributes(graph_def: graph_pb2.GraphDef) -> tuple[list[bytes], bytes, bytes]:
    (handle,) = [node for node in graph_def.node if node.name == "handle"]
    (function,) = graph_def.library.function
    return (
        list(handle.attr["allowed_devices"].list.s),
        function.attr["forward"].func.attr["device"].s,
        function.arg_attr[0].attr["_device"].s,
    )


def test_all_devices_are_cleared(placed: graph_pb2.GraphDef) -> None:
    clear_devices(placed, True)
    assert devices(placed) == {"x": "", "y": "", "mul": ""}
    assert attributes(placed) == ([b"/device:CPU:0"], b"/device:CPU:0", b"")
    assert b"/job:" not in placed.SerializeToString()


def test_what_a_machine_has_itself_can_be_kept(placed: graph_pb2.GraphDef) -> None:
    clear_devices(placed, "cluster")
    assert devices(placed) == {"x": "/device:CPU:0", "y": "", "mul": "/device:GPU:0"}
    assert b"/job:" not in placed.SerializeToString()


def test_nothing_is_cleared_on_request(placed: graph_pb2.GraphDef) -> None:
    before = placed.SerializeToString(deterministic=True)
    clear_devices(placed, False)
    assert placed.SerializeToString(deterministic=True) == before


def test_the_rest_of_a_calls_configuration_stays(placed: graph_pb2.GraphDef) -> None:
    clear_devices(placed, "cluster")
    (call,) = [node for node in placed.node if "config_proto" in node.attr]
    config = v1.ConfigProto.FromString(call.attr["config_proto"].s)
    assert config.allow_soft_placement
    assert not config.device_filters
    assert not config.HasField("cluster_def")


@pytest.mark.parametrize("which", [True, "cluster"])
def test_a_cleared_graph_runs_on_one_machine(placed: graph_pb2.GraphDef, which: Any) -> None:
    clear_devices(placed, which)
    del placed.library.function[0].attr["forward"]
    config = v1.ConfigProto(allow_soft_placement=True)  # the function wants a GPU
    with tf.Graph().as_default(), v1.Session(config=config) as session:
        tf.import_graph_def(placed, name="")
        assert session.run("y:0", {"x:0": 3.0}) == 6.0


@pytest.mark.parametrize("value", [None, "all", "/job:ps"])
def test_other_values_are_refused_with_those_that_there_are(graph: tf.Graph, value: Any) -> None:
    with pytest.raises(SignatureError, match="is none of True, 'cluster', False") as caught:
        describe(request(graph, clear_devices=value))
    assert "only job, replica and task ('cluster')" in str(caught.value)


def test_a_task_that_is_named_elsewhere_is_refused(graph: tf.Graph) -> None:
    tf.raw_ops.Print(input=1, data=[1], message="cache of /job:ps/task:0", name="told")
    proto = describe(request(graph)).proto
    with pytest.raises(GraphError) as caught:
        check(proto, devices_cleared=True)
    said = "op 'told', attribute 'message': it names a task of the cluster: 'cache of /job:ps/task:0'"
    assert said in str(caught.value)
    check(proto, devices_cleared=False)


@pytest.mark.parametrize("which", [True, "cluster"])
def test_names_of_resources_lose_the_cluster_and_stay_as_equal_as_they_were(graph: tf.Graph, which: Any) -> None:
    """The name of a table with a file tells the device of the file's name."""
    names = ["of /job:ps/replica:0/task:0)", "of /job:ps/task:1)", "of )", "of /job:ps/task:1)", "/job:ps", ""]
    for name in names:
        tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[], shared_name=name, container=name)

    @tf.function
    def read() -> tf.Tensor:
        handle = tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[], shared_name=names[1])
        return tf.raw_ops.VarIsInitializedOp(resource=handle)

    read()
    proto = describe(request(graph, clear_devices=which)).proto
    check(proto, devices_cleared=True)
    (function,) = proto.graph_def.library.function
    handles = [node for node in (*proto.graph_def.node, *function.node_def) if node.op == "VarHandleOp"]
    shared = [node.attr["shared_name"].s for node in handles]
    assert shared == [b"of )_1", b"of )_2", b"of )", b"of )_2", b"shared_name", b"", b"of )_2"]
    assert [node.attr["container"].s for node in handles][:5] == [*shared[:4], b"container"]
    assert b"/job:" not in proto.SerializeToString()


def test_tasks_that_one_machine_does_not_have_are_told_where_devices_are_kept(
    graph: tf.Graph, caplog: pytest.LogCaptureFixture
) -> None:
    for device in ("/job:localhost/task:0", "/device:CPU:0"):
        with tf.device(device):
            tf.no_op()
    check(describe(request(graph, clear_devices=False)).proto, devices_cleared=False)
    assert not caplog.records
    for device in (f"{PS}/device:CPU:0", "/job:chief/task:0", "/job:chief/task:0"):
        with tf.device(device):
            tf.no_op()
    check(describe(request(graph, clear_devices=False)).proto, devices_cleared=False)
    (record,) = caplog.records
    assert "ops stay on /job:chief/task:0, /job:ps/task:1; one machine has no such tasks" in record.getMessage()


def test_text_that_looks_like_a_device_is_left_alone_in_constants(graph: tf.Graph) -> None:
    tf.constant("/job:ps/task:0", name="text")
    proto = describe(request(graph)).proto
    check(proto, devices_cleared=True)
    (node,) = proto.graph_def.node
    assert node.attr["value"].tensor.string_val == [b"/job:ps/task:0"]
