"""What tells two models apart: nothing that matters is missed, and nothing else is told."""

from __future__ import annotations

import math
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.bundle import BundleReader, BundleWriter
from autodist_saved.graph.stored import saved_model_pb2
from autodist_saved.saved_models import variable_difference
from autodist_saved.saved_models.changes import Changes
from autodist_saved.saved_models.difference import ModelDifference, compare_models
from autodist_saved.saved_models.saved_model import open_model
from autodist_saved.saved_models.variable_difference import ValueChange, VariableDifference, compare_variables
from tests.support.bundles import write_bundle
from tests.support.saved_models import write_ours, write_v1, write_v2


def variables(folder: Path, a: dict[str, Any], b: dict[str, Any]) -> VariableDifference:
    readers = [BundleReader(write_bundle(folder / name, arrays)) for name, arrays in (("a", a), ("b", b))]
    return compare_variables(*readers)


def models(a: Path, b: Path) -> ModelDifference:
    return compare_models(open_model(a), open_model(b))


def test_variables_that_were_added_removed_or_changed_are_named(tmp_path: Path) -> None:
    difference = variables(
        tmp_path,
        {"gone": np.zeros(2), "shape": np.zeros(2), "dtype": np.zeros(2), "same": np.ones(2)},
        {"new": np.zeros(2), "shape": np.zeros(3), "dtype": np.zeros(2, np.float32), "same": np.ones(2)},
    )
    assert difference == VariableDifference(Changes(("gone",), ("new",), ("dtype", "shape")), ())


def test_the_largest_relative_change_comes_first(tmp_path: Path) -> None:
    a = {"large": np.full(4, 1000.0), "small": np.full(4, 1.0), "zero": np.zeros(4), "same": np.ones(4)}
    b = {
        "large": np.full(4, 1001.0),
        "small": np.array([1, 1, 1, 1.5]),
        "zero": np.array([0, 0, 0, 1.0]),
        "same": np.ones(4),
    }
    difference = variables(tmp_path, a, b)
    assert difference.values == (
        ValueChange("zero", "float64", (4,), 1, math.inf, 1.0),
        ValueChange("small", "float64", (4,), 1, 0.25, 0.5),
        ValueChange("large", "float64", (4,), 4, 0.001, 1.0),
    )


@pytest.mark.parametrize(
    ("a", "b", "elements", "largest"),
    [
        ([1.0, math.nan], [2.0, math.nan], 1, 1.0),
        ([1.0, math.nan], [1.0, 2.0], 1, math.inf),
        ([1.0, math.inf], [1.0, -math.inf], 1, math.inf),
        ([1.0, math.inf], [3.0, math.inf], 1, 2.0),
        ([0.0], [-0.0], 0, 0.0),
        ([1e300], [-1e300], 1, 2e300),
    ],
)
def test_what_is_no_number_is_compared_as_well(
    tmp_path: Path, a: list[float], b: list[float], elements: int, largest: float
) -> None:
    values = variables(tmp_path, {"v": np.array(a)}, {"v": np.array(b)}).values
    assert [(one.elements, one.largest) for one in values] == ([(elements, largest)] if elements else [])
    assert not any(math.isnan(one.relative) for one in values)


@pytest.mark.parametrize(
    "dtype", [np.int8, np.uint64, np.bool_, np.float16, np.complex64, ml_dtypes.bfloat16, ml_dtypes.int4]
)
def test_all_types_are_compared(tmp_path: Path, dtype: Any) -> None:
    (change,) = variables(tmp_path, {"v": np.array([1, 0], dtype)}, {"v": np.array([1, 1], dtype)}).values
    assert (change.elements, change.relative, change.largest) == (1, 1.0, 1.0)


def test_strings_differ_and_have_no_distance(tmp_path: Path) -> None:
    a, b = np.array([b"x", b"y", b"z"], object), np.array([b"x", b"yy", b""], object)
    assert variables(tmp_path, {"v": a}, {"v": b}).values == (ValueChange("v", "string", (3,), 2),)


def test_slices_are_compared_as_the_whole_that_they_are(tmp_path: Path) -> None:
    other = np.ones([4, 3], np.float32)
    other[3, 2] += 1
    with tf.Graph().as_default(), v1.Session() as session:
        v1.get_variable("v", [4, 3], initializer=v1.ones_initializer(), partitioner=v1.fixed_size_partitioner(2))
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(tmp_path / "sliced"), write_meta_graph=False)
    sliced = BundleReader(tmp_path / "sliced")
    assert sliced.entries["v"].is_sliced
    write_bundle(tmp_path / "same", {"v": np.ones([4, 3], np.float32)})
    write_bundle(tmp_path / "other", {"v": other})
    assert not compare_variables(sliced, BundleReader(tmp_path / "same"))
    (change,) = compare_variables(sliced, BundleReader(tmp_path / "other")).values
    assert (change.elements, change.largest) == (1, 1.0)


def test_a_model_may_be_larger_than_memory(tmp_path: Path) -> None:
    rows = np.zeros([2**16, 16])
    for name, value in (("a", 1.0), ("b", 2.0)):
        with BundleWriter(tmp_path / name) as writer:
            entry = writer.begin("v", "float64", [8 * 2**16, 16])
            for _ in range(8):
                entry.append(rows + value)
    readers = [BundleReader(tmp_path / name) for name in "ab"]
    tracemalloc.start()
    try:
        (change,) = compare_variables(*readers).values
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (change.elements, change.relative, change.largest) == (8 * rows.size, 1.0, 1.0)
    assert peak < 2**25, "each of the two has twice as much"


def test_what_has_the_same_checksum_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variable_difference, "_compare", None)
    assert not variables(tmp_path, {"v": np.ones(3)}, {"v": np.ones(3)})


def test_two_exports_of_one_model_are_the_same(tmp_path: Path) -> None:
    for write in (write_ours, write_v1):
        one = write(tmp_path / write.__name__)
        shutil.copytree(one, two := tmp_path / f"{write.__name__} again")
        assert not models(one, two)


def test_functions_are_the_same_whatever_their_numbers_are(tmp_path: Path) -> None:
    first = write_v2(tmp_path / "1").rename(tmp_path / "first")
    models = [open_model(place) for place in (first, write_v2(tmp_path / "1"))]
    numbered = [
        {function.signature.name for function in model.graphs[0].proto.graph_def.library.function} for model in models
    ]
    assert numbered[0] != numbered[1], "TensorFlow numbers them anew"
    assert not compare_models(*models)


def test_other_ops_functions_and_assets_are_named(tmp_path: Path) -> None:
    one, two = write_v1(tmp_path / "1"), write_v1(tmp_path / "2", train_op=True)
    (two / "assets/words.txt").write_text("c")
    difference = models(one, two)
    (graph,) = difference.graphs
    assert graph.tags == ("serve",)
    assert {"AssignAddVariableOp", "ones"} < set(graph.ops.only_b)
    assert graph.ops.only_a == ()
    assert graph.ops.changed == ("Const",), "the path of the words"
    assert graph.op_types["AssignAddVariableOp"] == (0, 1)
    assert graph.collections == Changes(only_b=("saved_model_train_op",))
    assert difference.assets == Changes(changed=("words.txt",))
    assert not difference.variables


def test_graphs_are_told_apart_by_their_tags(tmp_path: Path) -> None:
    one, two = write_v1(tmp_path / "1"), shutil.copytree(tmp_path / "1", tmp_path / "2")
    proto = saved_model_pb2.SavedModel.FromString((two / "saved_model.pb").read_bytes())
    proto.meta_graphs[0].meta_info_def.tags[:] = ["train", "gpu"]
    (two / "saved_model.pb").write_bytes(proto.SerializeToString())
    assert models(one, two) == ModelDifference(
        Changes(("serve",), ("gpu, train",)), (), Changes(), VariableDifference(Changes(), ())
    )


def test_another_signature_and_another_function_are_named(tmp_path: Path) -> None:
    one = write_v2(tmp_path / "1")
    two = shutil.copytree(one, tmp_path / "2")
    proto = saved_model_pb2.SavedModel.FromString((two / "saved_model.pb").read_bytes())
    (graph,) = proto.meta_graphs
    graph.signature_def["serving_default"].outputs["output_0"].dtype = 2
    function = next(one for one in graph.graph_def.library.function if any(n.op == "MatMul" for n in one.node_def))
    next(node for node in function.node_def if node.op == "MatMul").op = "SparseMatMul"
    (two / "saved_model.pb").write_bytes(proto.SerializeToString())
    (difference,) = models(one, two).graphs
    assert difference.signatures == Changes(changed=("serving_default",))
    assert difference.functions == Changes(changed=("__inference___call__",))
    assert difference.op_types == {"MatMul": (1, 0), "SparseMatMul": (0, 1)}
    assert not difference.ops
