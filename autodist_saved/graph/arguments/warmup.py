"""Requests that TensorFlow Serving runs when it loads a model, before it answers anybody.

They are in a file of TFRecords. Each record is a ``PredictionLog``; see the guide "SavedModel Warmup" of TensorFlow
Serving. The package ``tensorflow-serving-api`` has this message; nothing else here needs that package.
"""

from __future__ import annotations

import importlib.util
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.bundle import crc32c
from autodist_saved.errors import Problem
from autodist_saved.graph.arguments.examples import Examples, example_problems, is_list, tensor_proto

WARMUP_FILE = "tf_serving_warmup_requests"
MAX_REQUESTS = 1000  # Serving refuses to load a model that has more

_PREDICT = v1.saved_model.signature_constants.PREDICT_METHOD_NAME
_CLASSIFY = v1.saved_model.signature_constants.CLASSIFY_METHOD_NAME
_REGRESS = v1.saved_model.signature_constants.REGRESS_METHOD_NAME


def warmup_problems(warmup: Examples, signatures: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield all that would keep Serving from answering these requests, or us from writing them."""
    if not warmup:
        return
    if importlib.util.find_spec("tensorflow_serving") is None:
        yield Problem(
            "warmup", "the messages of TensorFlow Serving are not installed", "pip install 'autodist-saved[serving]'"
        )
    if (count := sum(len(requests) for requests in warmup.values() if is_list(requests))) > MAX_REQUESTS:
        yield Problem("warmup", f"{count} requests are too many for Serving", f"give at most {MAX_REQUESTS}")
    strange = {
        key: signatures[key].method_name
        for key in warmup
        if key in signatures and signatures[key].method_name not in {_PREDICT, _CLASSIFY, _REGRESS}
    }
    for key, method in strange.items():
        yield Problem(f"warmup[{key!r}]", f"Serving has no requests for {method!r}", "leave it out")
    others = {key: requests for key, requests in warmup.items() if key not in strange}
    yield from example_problems("warmup", others, signatures, _fit)


def warmup_file(warmup: Examples, signatures: Mapping[str, Any]) -> bytes:
    """Make the contents of ``assets.extra/tf_serving_warmup_requests``. The requests have no problems."""
    logs = (_log(key, signatures[key], inputs) for key, requests in warmup.items() for inputs in requests)
    return b"".join(_record(log.SerializeToString(deterministic=True)) for log in logs)


def _fit(signature: Any, name: str, value: Any) -> None:
    """Raise ``TypeError``, ``ValueError`` or ``DecodeError`` where Serving could not pass a value to the model."""
    if signature.method_name == _PREDICT:
        tensor_proto(value, signature.inputs[name])
    else:
        _examples(value, signature.inputs[name])


def _examples(value: Any, info: Any) -> list[tf.train.Example]:
    """Parse examples. Serving passes them serialized to the one input of classifications and regressions."""
    serialized = tf.make_ndarray(tensor_proto(value, info)).ravel()
    if serialized.dtype != np.object_ or not serialized.size:
        raise TypeError("Serving passes one or more serialized tf.train.Example")
    return [tf.train.Example.FromString(example) for example in serialized]


def _log(key: str, signature: Any, inputs: Mapping[str, Any]) -> Any:
    """Make the ``PredictionLog`` of one request. It names no model, because Serving gives the model its name."""
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog()
    if signature.method_name == _PREDICT:
        request = log.predict_log.request
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tensor_proto(value, signature.inputs[name]))
    else:
        request = (log.classify_log if signature.method_name == _CLASSIFY else log.regress_log).request
        for name, value in inputs.items():
            request.input.example_list.examples.extend(_examples(value, signature.inputs[name]))
    request.model_spec.signature_name = key
    return log


def _record(data: bytes) -> bytes:
    """Make a TFRecord: length and data, each with its masked checksum."""
    length = struct.pack("<Q", len(data))
    return length + _checksum(length) + data + _checksum(data)


def _checksum(data: bytes) -> bytes:
    return struct.pack("<I", crc32c.mask(crc32c.extend(0, data)))
