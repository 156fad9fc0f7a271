"""Requests with which TensorFlow Serving warms a model up before it answers anybody.

They are a file of TFRecords with a ``PredictionLog`` each; see the guide "SavedModel Warmup" of TensorFlow Serving.
Its messages come from the package ``tensorflow-serving-api``, which is needed for this alone.
"""

from __future__ import annotations

import importlib.util
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow.compat.v1 as v1
from google.protobuf.message import DecodeError

from autodist_saved.bundle import crc32c
from autodist_saved.errors import Problem

WARMUP_FILE = "tf_serving_warmup_requests"
MAX_REQUESTS = 1000  # Serving does not load a model that has more
Warmup = Mapping[str, Sequence[Mapping[str, Any]]]
"""By signature: example requests, each with an array for every input."""

_PREDICT = v1.saved_model.signature_constants.PREDICT_METHOD_NAME
_CLASSIFY = v1.saved_model.signature_constants.CLASSIFY_METHOD_NAME
_REGRESS = v1.saved_model.signature_constants.REGRESS_METHOD_NAME


def warmup_problems(warmup: Warmup, signatures: Mapping[str, Any]) -> Iterator[Problem]:
    """All that would keep Serving from answering these requests, or us from writing them."""
    if not warmup:
        return
    if importlib.util.find_spec("tensorflow_serving") is None:
        yield Problem(
            "warmup", "the messages of TensorFlow Serving are not installed", "pip install 'autodist-saved[serving]'"
        )
    if (count := sum(len(requests) for requests in warmup.values() if _is_list(requests))) > MAX_REQUESTS:
        yield Problem("warmup", f"{count} requests are too many for Serving", f"give at most {MAX_REQUESTS}")
    for key, requests in warmup.items():
        place = f"warmup[{key!r}]"
        if key not in signatures:
            known = ", ".join(sorted(signatures)) or "none"
            yield Problem(place, "there is no such signature", f"the signatures of this meta graph are: {known}")
        elif (method := signatures[key].method_name) not in {_PREDICT, _CLASSIFY, _REGRESS}:
            yield Problem(place, f"Serving has no requests for {method!r}", "leave it out")
        elif not _is_list(requests):
            yield Problem(place, "this is no list of requests", "give a list with one dictionary for each request")
        else:
            for number, inputs in enumerate(requests):
                yield from _input_problems(f"{place}[{number}]", signatures[key], inputs)


def warmup_file(warmup: Warmup, signatures: Mapping[str, Any]) -> bytes:
    """The contents of ``assets.extra/tf_serving_warmup_requests`` for requests without problems."""
    logs = (_log(key, signatures[key], inputs) for key, requests in warmup.items() for inputs in requests)
    return b"".join(_record(log.SerializeToString(deterministic=True)) for log in logs)


def _is_list(requests: object) -> bool:
    return isinstance(requests, Sequence) and not isinstance(requests, str | bytes)


def _input_problems(place: str, signature: Any, inputs: object) -> Iterator[Problem]:
    if not isinstance(inputs, Mapping):
        yield Problem(place, "this is no dictionary", "give an array for each input, by its name")
        return
    missing = signature.inputs.keys() - signature.defaults.keys() - inputs.keys()
    for name in sorted(missing):
        yield Problem(f"{place}[{name!r}]", "this input is missing", "give an array for it")
    for name, value in inputs.items():
        if name not in signature.inputs:
            known = ", ".join(sorted(signature.inputs))
            yield Problem(f"{place}[{name!r}]", "the signature has no such input", f"its inputs are: {known}")
            continue
        try:
            if signature.method_name == _PREDICT:
                _tensor(value, signature.inputs[name])
            else:
                _examples(value, signature.inputs[name])
        except (TypeError, ValueError, DecodeError) as error:
            yield Problem(f"{place}[{name!r}]", str(error), "give what a request for this signature would hold")


def _tensor(value: Any, info: Any) -> Any:
    """A ``TensorProto`` that fits. Raises ``TypeError`` and ``ValueError`` if the value does not."""
    if info.WhichOneof("encoding") != "name":
        raise TypeError("Serving hands over dense tensors only")
    dtype, shape = tf.as_dtype(info.dtype), tf.TensorShape(info.tensor_shape)
    given = getattr(value, "dtype", None)
    if given is not None and tf.as_dtype(given) != dtype:
        raise TypeError(f"it is of type {tf.as_dtype(given).name} and the signature takes {dtype.name}")
    proto = tf.make_tensor_proto(value, dtype=dtype)
    if not shape.is_compatible_with(proto.tensor_shape):
        raise ValueError(f"its shape is {tf.TensorShape(proto.tensor_shape)} and the signature takes {shape}")
    return proto


def _examples(value: Any, info: Any) -> list[tf.train.Example]:
    """Serving hands examples in serialized form to the one input of classifications and regressions."""
    serialized = tf.make_ndarray(_tensor(value, info)).ravel()
    if serialized.dtype != np.object_ or not serialized.size:
        raise TypeError("Serving hands over one or more serialized tf.train.Example")
    return [tf.train.Example.FromString(example) for example in serialized]


def _log(key: str, signature: Any, inputs: Mapping[str, Any]) -> Any:
    """The ``PredictionLog`` of one request. It names no model: Serving gives a model its name."""
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog()
    if signature.method_name == _PREDICT:
        request = log.predict_log.request
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(_tensor(value, signature.inputs[name]))
    else:
        request = (log.classify_log if signature.method_name == _CLASSIFY else log.regress_log).request
        for name, value in inputs.items():
            request.input.example_list.examples.extend(_examples(value, signature.inputs[name]))
    request.model_spec.signature_name = key
    return log


def _record(data: bytes) -> bytes:
    """A TFRecord: length and data, each with its masked checksum."""
    length = struct.pack("<Q", len(data))
    return length + _checksum(length) + data + _checksum(data)


def _checksum(data: bytes) -> bytes:
    return struct.pack("<I", crc32c.mask(crc32c.extend(0, data)))
