"""Meta graphs that TensorFlow's saver exports, and savers that are made of what they say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1
from google.protobuf.any_pb2 import Any as AnyProto
from tensorflow.core.protobuf import queue_runner_pb2

import autodist_saved as ads
from tests.tensorflow_behaviour.models import fresh_session, global_values, variables

Variable = Callable[..., Any]
BOTH_SAVERS = pytest.mark.parametrize("kind", [ads.Saver, v1.train.Saver], ids=["ours", "TensorFlow's"])


def model(make: Variable, *, has_control_flow: bool = True) -> None:
    """A graph with a placeholder, control flow, if wanted, and a train op."""
    x = v1.placeholder(tf.float32, [None, 4], name="x")
    weights = make(np.ones([4, 2], np.float32), name="weights")
    y = tf.matmul(x, weights)
    if has_control_flow:
        y = tf.cond(tf.reduce_sum(x) > 0, lambda: tf.matmul(x, weights), lambda: tf.zeros([1, 2]))
        _, y = tf.while_loop(lambda i, _: i < 2, lambda i, y: (i + 1, y * 2), [0, y])
    tf.identity(y, "y")
    v1.train.AdamOptimizer().minimize(tf.reduce_sum(y**2), name="train")


def exports(build: Callable[[Any], Any], **arguments: Any) -> list[Any]:
    """What saver classes export of one graph, ours first."""
    found = []
    for kind in (ads.Saver, v1.train.Saver):
        with fresh_session():
            found.append(build(kind).export_meta_graph(**arguments))
    return found


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"clear_devices": True},
        {"strip_default_attrs": True},
        {"clear_extraneous_savers": True},
        {"collection_list": ["savers"]},
        {"export_scope": "scope"},
    ],
    ids=str,
)
@pytest.mark.parametrize("version", [v1.train.SaverDef.V1, v1.train.SaverDef.V2], ids=["V1", "V2"])
def test_they_are_what_tensorflows_saver_exports(variable: Variable, version: int, arguments: dict[str, Any]) -> None:
    def build(kind: Any) -> Any:
        with tf.device("/cpu:0"), v1.name_scope("scope"):
            model(variable, has_control_flow=False)  # whose functions have numbers in their names
            variable([1.0, 2.0], name="other")
            savers = [kind(name=name, write_version=version) for name in ("first", "second")]
        for saver in savers:
            v1.add_to_collection("savers", saver)
        return savers[1]

    ours, theirs = exports(build, **arguments)
    assert ours == theirs


def test_collections_of_all_kinds_are_in_them(variable: Variable, tmp_path: Path) -> None:
    proto = queue_runner_pb2.QueueRunnerDef(queue_name="queue")
    packed = AnyProto()
    packed.Pack(proto)
    members = {"int": 3, "float": 3.5, "string": "text", "bytes": proto.SerializeToString(), "any": packed}
    with variables(variable, v0=1.0):
        for key, member in members.items():
            v1.add_to_collection(key, member)
        exported = ads.Saver().export_meta_graph(str(tmp_path / "m"))
    assert {*exported.collection_def} == {*members, "variables", "trainable_variables"}
    with fresh_session():
        saver = v1.train.import_meta_graph(str(tmp_path / "m"))
        again = saver.export_meta_graph()
        assert {key: again.collection_def[key] for key in members} == {
            key: exported.collection_def[key] for key in members
        }
        assert [node.name for node in again.graph_def.node] == [node.name for node in exported.graph_def.node]


@pytest.mark.parametrize("as_text", [True, False])
def test_they_are_written_to_a_file(as_text: bool, variable: Variable, tmp_path: Path) -> None:
    path = str(tmp_path / "new" / "m")
    with variables(variable, v0=1.0):
        ads.Saver().export_meta_graph(path, as_text=as_text, save_debug_info=True)
    with fresh_session():
        assert v1.train.import_meta_graph(path) is not None
    assert (tmp_path / "new" / "m.debug").exists()


@pytest.mark.parametrize("scope", [None, "new_model"])
def test_a_saved_graph_is_restored_and_trained_on(scope: str | None, variable: Variable, tmp_path: Path) -> None:
    with fresh_session() as session:
        model(variable)
        saver = ads.Saver()
        session.run(v1.global_variables_initializer())
        path = saver.save(session, str(tmp_path / "c"))
    prefix = "" if scope is None else f"{scope}/"
    with fresh_session() as session:
        v1.train.import_meta_graph(f"{path}.meta", import_scope=scope).restore(session, path)
        feed = {f"{prefix}x:0": [[1.0, 2.0, 3.0, 4.0]]}
        assert session.run(f"{prefix}y:0", feed).tolist() == [[40.0, 40.0]]
        session.run(f"{prefix}train", feed)
        assert session.run(f"{prefix}y:0", feed).tolist() != [[40.0, 40.0]]


def test_a_checkpoint_has_no_op_of_ours(variable: Variable, tmp_path: Path) -> None:
    with variables(variable, v0=1.0) as session:
        path = ads.Saver().save(session, str(tmp_path / "c"))
    assert b"autodist" not in Path(f"{path}.meta").read_bytes()


def test_an_open_name_scope_has_no_op_of_ours_in_it(variable: Variable) -> None:
    with fresh_session():
        only = variable(1.0, name="v")
        with v1.name_scope("saver1"):
            ads.Saver()
        with v1.name_scope("saver2"):
            ads.Saver({"name": only})
        names = [op.name for op in v1.get_default_graph().get_operations()]
    assert not [name for name in names if name.startswith("saver") and "/save/" not in name]


def test_equal_graphs_stay_equal(variable: Variable) -> None:
    graphs = []
    for _ in range(3):
        with fresh_session():
            for number in range(20):
                variable(number, name=f"v{number}")
            ads.Saver()
            graphs.append(v1.get_default_graph().as_graph_def())
    assert graphs[0] == graphs[1] == graphs[2]


def test_several_savers_are_restored_with_the_graph(variable: Variable, tmp_path: Path) -> None:
    with variables(variable, v0=[1.0, 2.0], v1=11.0) as session:
        for number, only in enumerate(v1.global_variables()):
            saver = ads.Saver({only.op.name: only}, name=f"saver{number}")
            v1.add_to_collection(v1.GraphKeys.SAVERS, saver)
            saver.save(session, str(tmp_path / str(number)))
        exported = v1.train.export_meta_graph(str(tmp_path / "m"))
        assert not exported.HasField("saver_def")
        assert len(exported.collection_def["savers"].bytes_list.value) == 2
        of_second = saver.export_meta_graph(clear_extraneous_savers=True)
        assert of_second.saver_def == saver.as_saver_def()
        assert len(of_second.collection_def["savers"].bytes_list.value) == 1
        assert not [node.name for node in of_second.graph_def.node if node.name.startswith("saver0")]
    with fresh_session() as session:
        v1.train.import_meta_graph(str(tmp_path / "m"))
        first, second = v1.get_collection(v1.GraphKeys.SAVERS)
        first.restore(session, str(tmp_path / "0"))
        assert session.run(v1.report_uninitialized_variables()).tolist() == [b"v1"]
        second.restore(session, str(tmp_path / "1"))
        assert global_values(session)["v1"] == 11.0


@BOTH_SAVERS
def test_a_saver_is_made_of_its_definition(kind: Any, variable: Variable, tmp_path: Path) -> None:
    with variables(variable, v=1.0) as session:
        with v1.name_scope("scope"):
            saver = kind()
        copy = ads.Saver.from_proto(saver.to_proto())
        assert isinstance(copy, ads.Saver)
        assert copy.to_proto() == saver.as_saver_def()
        copy.restore(session, copy.save(session, str(tmp_path / "c")))
        stripped = saver.to_proto(export_scope="scope")
        assert stripped.restore_op_name == "save/restore_all"
        assert saver.to_proto(export_scope="elsewhere") is None
        assert ads.Saver.from_proto(stripped, import_scope="scope").to_proto() == saver.as_saver_def()


def test_a_scope_is_copied_with_its_saver(variable: Variable, tmp_path: Path) -> None:
    from tensorflow.python.framework import meta_graph

    with fresh_session() as session:
        with v1.name_scope("hidden"):
            only = variable([1.0], name="v")
            saver = ads.Saver([only])
        v1.add_to_collection(v1.GraphKeys.SAVERS, saver)
        session.run(v1.global_variables_initializer())
        path = saver.save(session, str(tmp_path / "c"), write_state=False)
        there = tf.Graph()
        (copied,) = meta_graph.copy_scoped_meta_graph("hidden", "new", session.graph, there).values()
    with there.as_default(), v1.Session() as session:
        (saver,) = v1.get_collection(v1.GraphKeys.SAVERS)
        saver.restore(session, path)
        assert session.run(copied).tolist() == [1.0]
    assert not [op.name for op in there.get_operations() if "autodist" in op.name]
