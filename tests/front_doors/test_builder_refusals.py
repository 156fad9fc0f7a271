"""Graphs that no plain TensorFlow could load are refused before the job is touched."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from autodist_saved.errors import GraphError
from autodist_saved.graph.checks import size
from autodist_saved.options import ExportOptions
from autodist_saved.pipeline.export import Export
from autodist_saved.publish.disk.target import LocalTarget
from autodist_saved.testing import ArraySource, RecordingCut
from tests.support.meta_graphs import description

TAGS = ["serve"]
OP = "AutodistSavedTestAllreduce"
LIBRARY = f"""
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"

REGISTER_OP("{OP}").Input("tensor: float").Output("sum: float");

class AllreduceOp : public tensorflow::OpKernel {{
 public:
  using OpKernel::OpKernel;
  void Compute(tensorflow::OpKernelContext* context) override {{ context->set_output(0, context->input(0)); }}
}};
REGISTER_KERNEL_BUILDER(Name("{OP}").Device(tensorflow::DEVICE_CPU), AllreduceOp);
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A library of ops, such as Horovod's. It is compiled; scripts/debian_packages brings the compiler."""
    folder = tmp_path_factory.mktemp("ops")
    (folder / "ops.cc").write_text(LIBRARY)
    flags = [*tf.sysconfig.get_compile_flags(), *tf.sysconfig.get_link_flags()]
    subprocess.run(["g++", "-shared", "-fPIC", "-w", "ops.cc", "-o", "ops.so", *flags], cwd=folder, check=True)
    return tf.load_op_library(str(folder / "ops.so"))


def distributed_model(library: Any) -> dict[str, Any]:
    """Data-parallel training: the gradients pass an op of the library."""
    x = v1.placeholder(tf.float32, [], "x")
    weight = v1.get_variable("w", initializer=3.0, use_resource=True)
    y = tf.multiply(x, weight, name="y")
    (gradient,) = tf.gradients(y, [weight])
    train_op = weight.assign_sub(library.autodist_saved_test_allreduce(gradient, name="allreduce")).op
    return {
        "signature_def_map": {"predict": v1.saved_model.predict_signature_def({"x": x}, {"y": y})},
        "train_op": train_op,
    }


@pytest.mark.slow
def test_an_op_of_another_library_is_refused_although_it_runs_here(
    graph: tf.Graph, tmp_path: Path, library: Any
) -> None:
    arguments = distributed_model(library)
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        session.run(arguments["train_op"], {"x:0": 1.0})
        builder = ads.SavedModelBuilder(tmp_path / "model")
        with pytest.raises(GraphError, match=f"op type '{OP}': plain TensorFlow has no such op") as caught:
            builder.add_meta_graph_and_variables(session, TAGS, saver=saver, **arguments)
    assert "it is the type of 'allreduce', reached by the train op alone" in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_an_op_that_all_loaders_have_is_written_on_request(graph: tf.Graph, tmp_path: Path, library: Any) -> None:
    arguments = distributed_model(library)
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        builder = ads.SavedModelBuilder(tmp_path / "model", options=ExportOptions(custom_ops={OP}))
        builder.add_meta_graph_and_variables(session, TAGS, saver=saver, **arguments)
        builder.save()
    with tf.Graph().as_default(), v1.Session() as session:
        v1.saved_model.load(session, TAGS, str(tmp_path / "model"))
        assert session.run("y:0", {"x:0": 2.0}) == 6.0
    code = (
        "import sys, tensorflow.compat.v1 as v1\n"
        "with v1.Graph().as_default(), v1.Session() as session:\n"
        "    v1.saved_model.load(session, ['serve'], sys.argv[1])"
    )
    plain = subprocess.run([sys.executable, "-c", code, str(tmp_path / "model")], capture_output=True, text=True)
    assert f"Op type not registered '{OP}'" in plain.stderr, "this is what the refusal spares the user"


def test_nothing_of_the_job_is_touched_for_a_graph_that_is_refused(
    graph: tf.Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tf.constant(np.arange(3000.0), name="table")
    monkeypatch.setattr(size, "MAX_BYTES", 20_000)
    cut = RecordingCut()
    one = Export("chief:0", LocalTarget(tmp_path / "model"), ExportOptions())
    with pytest.raises(GraphError, match="'table'"):
        one.capture(description(graph), ArraySource({"w": np.zeros(2)}), cut)
    assert cut.calls == []
    assert not list(tmp_path.iterdir())


def test_the_second_meta_graph_has_the_room_that_the_first_one_leaves(
    graph: tf.Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tf.constant(np.arange(3000.0), name="table")
    monkeypatch.setattr(size, "MAX_BYTES", 40_000)
    one = Export("chief:0", LocalTarget(tmp_path / "model"), ExportOptions())
    one.capture(description(graph), ArraySource({"w": np.zeros(2)}), RecordingCut())
    with pytest.raises(GraphError, match="more than 40,000 bytes"):
        one.add(description(graph, tags=["again"]))
    one.publish()


def test_a_task_that_is_named_in_an_attribute_is_refused_unless_devices_are_kept(
    graph: tf.Graph, tmp_path: Path
) -> None:
    tf.raw_ops.Print(input=1, data=[1], message="cache of /job:ps/task:0", name="told")
    for clear in (True, "cluster"):
        refused = Export("chief:0", LocalTarget(tmp_path / "refused"), ExportOptions())
        with pytest.raises(GraphError, match="op 'told', attribute 'message': it names a task of the cluster"):
            refused.capture(description(graph, clear_devices=clear), ArraySource({"w": np.zeros(2)}), RecordingCut())
    one = Export("chief:0", LocalTarget(tmp_path / "model"), ExportOptions())
    one.capture(description(graph, clear_devices=False), ArraySource({"w": np.zeros(2)}), RecordingCut())
    one.publish()


def test_devices_of_the_machine_are_kept_on_request(graph: tf.Graph, tmp_path: Path) -> None:
    with tf.device("/job:localhost/task:0/device:CPU:0"):
        weight = v1.get_variable("w", initializer=3.0)
    tf.identity(weight, "y")
    saver = ads.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        builder = ads.SavedModelBuilder(tmp_path / "model")
        builder.add_meta_graph_and_variables(session, ["all"], saver=saver)
        builder.add_meta_graph(["some"], saver=saver, clear_devices="cluster")
        builder.save()
    for tag, device in (("all", ""), ("some", "/device:CPU:0")):
        with tf.Graph().as_default() as loaded, v1.Session() as session:
            v1.saved_model.load(session, [tag], str(tmp_path / "model"))
            assert session.run("y:0") == 3.0
            assert loaded.get_operation_by_name("w").device == device


def test_the_first_file_of_a_name_stays_and_another_one_is_told(
    graph: tf.Graph, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assets = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "words.txt").write_text(folder)
        assets.append(tf.constant(str(tmp_path / folder / "words.txt")))
    one = Export("chief:0", LocalTarget(tmp_path / "model"), ExportOptions())
    one.capture(description(graph, assets_collection=assets[:1]), ArraySource({"w": np.zeros(2)}), RecordingCut())
    one.add(description(graph, tags=["same"], assets_collection=assets[:1]))
    assert not caplog.text
    one.add(description(graph, tags=["other"], assets_collection=assets[1:]))
    one.publish()
    assert (tmp_path / "model" / "assets" / "words.txt").read_text() == "a"
    assert f"assets/words.txt is the file of an earlier meta graph, and not {tmp_path}/b/words.txt" in caplog.text
