"""Warm-up requests as TensorFlow Serving reads them: TFRecords with its own messages."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1
from tensorflow_serving.apis import prediction_log_pb2

from autodist_saved.errors import SignatureError
from autodist_saved.graph.arguments.warmup import warmup_problems
from autodist_saved.graph.meta_graph_builder import describe
from tests.support.meta_graphs import request

FILE = "tf_serving_warmup_requests"
EXAMPLE = tf.train.Example(
    features=tf.train.Features(feature={"age": tf.train.Feature(int64_list=tf.train.Int64List(value=[0]))})
)


def read(contents: bytes, tmp_path: Path) -> list[Any]:
    (tmp_path / FILE).write_bytes(contents)
    with tf.Graph().as_default():
        records = v1.io.tf_record_iterator(str(tmp_path / FILE))
        return [prediction_log_pb2.PredictionLog.FromString(record) for record in records]


@pytest.fixture
def signatures(graph: tf.Graph) -> dict[str, Any]:
    x = v1.placeholder(tf.float32, [None, 2], "x")
    word = v1.placeholder(tf.string, [], "word")
    examples = v1.placeholder(tf.string, [None], "examples")
    score = tf.zeros([1, 3])
    other = v1.saved_model.predict_signature_def({"x": x}, {"y": x})
    other.method_name = "my/method"
    return {
        "predict": v1.saved_model.predict_signature_def({"x": x, "word": word}, {"y": x}),
        "classify": v1.saved_model.classification_signature_def(examples, None, score),
        "regress": v1.saved_model.regression_signature_def(examples, tf.zeros([1])),
        "other": other,
    }


def logs(graph: tf.Graph, signatures: dict[str, Any], warmup: dict[str, Any], tmp_path: Path) -> list[Any]:
    described = describe(request(graph, signatures=signatures, warmup=warmup))
    return read(described.extra_files[FILE], tmp_path)


def test_predictions_hold_a_tensor_for_each_input(graph: tf.Graph, signatures: Any, tmp_path: Path) -> None:
    batch = np.arange(4, dtype=np.float32).reshape(2, 2)
    requests = [{"x": batch, "word": "late"}, {"x": [[1, 2]], "word": b"early"}]
    first, second = logs(graph, signatures, {"predict": requests}, tmp_path)
    assert first.WhichOneof("log_type") == "predict_log"
    assert first.predict_log.request.model_spec.signature_name == "predict"
    assert not first.predict_log.request.model_spec.name, "it is Serving that gives models their names"
    np.testing.assert_array_equal(tf.make_ndarray(first.predict_log.request.inputs["x"]), batch)
    inputs = second.predict_log.request.inputs
    assert inputs["x"].dtype == tf.float32.as_datatype_enum
    assert tf.make_ndarray(inputs["word"]) == b"early"


@pytest.mark.parametrize("kind", ["classify", "regress"])
def test_classifications_and_regressions_hold_examples(
    graph: tf.Graph, signatures: Any, tmp_path: Path, kind: str
) -> None:
    batch = [EXAMPLE.SerializeToString(), tf.train.Example().SerializeToString()]
    (log,) = logs(graph, signatures, {kind: [{"inputs": batch}]}, tmp_path)
    assert log.WhichOneof("log_type") == f"{kind}_log"
    asked = getattr(log, f"{kind}_log").request
    assert asked.model_spec.signature_name == kind
    assert list(asked.input.example_list.examples) == [EXAMPLE, tf.train.Example()]


def test_requests_keep_their_order(graph: tf.Graph, signatures: Any, tmp_path: Path) -> None:
    warmup = {
        "regress": [{"inputs": [EXAMPLE.SerializeToString()]}],
        "predict": [{"x": [[number, 0]], "word": ""} for number in range(3)],
    }
    regression, *predictions = logs(graph, signatures, warmup, tmp_path)
    assert regression.HasField("regress_log")
    values = [tf.make_ndarray(log.predict_log.request.inputs["x"])[0, 0] for log in predictions]
    assert values == [0.0, 1.0, 2.0]


def test_everything_that_is_wrong_is_told_at_once(graph: tf.Graph, signatures: Any) -> None:
    good = {"x": [[1, 2]], "word": "late"}
    warmup = {
        "gone": [good],
        "other": [good],
        "predict": [
            {"x": [[1, 2]]},
            {**good, "y": 1},
            {**good, "x": [1, 2, 3]},
            {**good, "x": np.zeros([1, 2])},
            {**good, "x": "text"},
            good,
            [good],
        ],
        "classify": [{"inputs": [b"no example"]}, {"inputs": []}],
    }
    with pytest.raises(SignatureError) as caught:
        describe(request(graph, clear_devices="some", signatures=signatures, warmup=warmup))
    problems = {problem.place: problem.what for problem in caught.value.problems}
    assert problems.pop("clear_devices"), "other problems of the meta graph are told with them"
    assert "text" in problems.pop("warmup['predict'][4]['x']")
    assert "Error parsing message" in problems.pop("warmup['classify'][0]['inputs']")
    assert problems == {
        "warmup['gone']": "there is no such signature",
        "warmup['other']": "Serving has no requests for 'my/method'",
        "warmup['predict'][0]['word']": "this input is missing",
        "warmup['predict'][1]['y']": "the signature has no such input",
        "warmup['predict'][2]['x']": "its shape is (3,) and the signature takes (None, 2)",
        "warmup['predict'][3]['x']": "it is of type float64 and the signature takes float32",
        "warmup['predict'][6]": "this is not a dictionary",
        "warmup['classify'][1]['inputs']": "Serving passes one or more serialized tf.train.Example",
    }


def test_inputs_with_a_default_may_be_left_out(signatures: Any) -> None:
    signatures["predict"].defaults["word"].CopyFrom(tf.make_tensor_proto("late"))
    assert not list(warmup_problems({"predict": [{"x": [[1, 2]]}]}, signatures))


def test_sparse_inputs_are_refused(graph: tf.Graph) -> None:
    sparse = v1.saved_model.build_tensor_info(v1.sparse_placeholder(tf.float32))
    signature = v1.saved_model.build_signature_def({"x": sparse}, {}, "tensorflow/serving/predict")
    (problem,) = warmup_problems({"p": [{"x": [1.0]}]}, {"p": signature})
    assert problem.what == "only dense tensors can be given"


@pytest.mark.parametrize("requests", [{"x": [[1, 2]], "word": "late"}, "late", iter([])])
def test_requests_are_a_list(signatures: Any, requests: Any) -> None:
    (problem,) = warmup_problems({"predict": requests}, signatures)
    assert problem.what == "this is not a list of requests"


def test_serving_reads_a_thousand_requests(signatures: Any) -> None:
    one = {"x": [[1, 2]], "word": "late"}
    assert not list(warmup_problems({"predict": [one] * 1000}, signatures))
    (problem,) = warmup_problems({"predict": [one] * 1001}, signatures)
    assert problem.what == "1001 requests are too many for Serving"


def test_without_servings_messages_it_is_said_where_they_come_from(
    signatures: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    (problem,) = warmup_problems({"predict": []}, signatures)
    assert problem.fix == "pip install 'autodist-saved[serving]'"
    assert not list(warmup_problems({}, signatures))
