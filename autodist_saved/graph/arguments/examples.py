"""Example inputs of signatures, and whether they fit the signatures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError

from autodist_saved.errors import Problem

Examples = Mapping[str, Sequence[Mapping[str, Any]]]
"""By signature: example requests. Each has an array for every input, by the input's name."""


def tensor_proto(value: Any, info: Any) -> Any:
    """Convert a value into a ``TensorProto`` of a ``TensorInfo``'s dtype.

    Raises:
        TypeError, ValueError: dtype or shape do not fit, or the tensor is not dense.
    """
    if info.WhichOneof("encoding") != "name":
        raise TypeError("only dense tensors can be given")
    dtype, shape = tf.as_dtype(info.dtype), tf.TensorShape(info.tensor_shape)
    given = getattr(value, "dtype", None)
    if given is not None and tf.as_dtype(given) != dtype:
        raise TypeError(f"it is of type {tf.as_dtype(given).name} and the signature takes {dtype.name}")
    proto = tf.make_tensor_proto(value, dtype=dtype)
    if not shape.is_compatible_with(proto.tensor_shape):
        raise ValueError(f"its shape is {tf.TensorShape(proto.tensor_shape)} and the signature takes {shape}")
    return proto


def example_problems(
    argument: str,
    examples: Examples,
    signatures: Mapping[str, Any],
    fit: Callable[[Any, str, Any], object] = lambda signature, name, value: tensor_proto(
        value, signature.inputs[name]
    ),
) -> Iterator[Problem]:
    """Yield all that is wrong with examples.

    Args:
        argument: name of the user's argument, for messages.
        examples: its value.
        signatures: ``SignatureDef`` by name.
        fit: called with a signature, the name of an input and its value. Raises ``TypeError``, ``ValueError`` or
            ``DecodeError`` where these do not fit.
    """
    for key, requests in examples.items():
        place = f"{argument}[{key!r}]"
        if key not in signatures:
            known = ", ".join(sorted(signatures)) or "none"
            yield Problem(place, "there is no such signature", f"the signatures of this meta graph are: {known}")
        elif not is_list(requests):
            yield Problem(place, "this is not a list of requests", "give a list with one dictionary for each request")
        else:
            for number, inputs in enumerate(requests):
                yield from _input_problems(f"{place}[{number}]", signatures[key], inputs, fit)


def is_list(requests: object) -> bool:
    """Whether the examples of a signature are a sequence."""
    return isinstance(requests, Sequence) and not isinstance(requests, str | bytes)


def _input_problems(
    place: str, signature: Any, inputs: object, fit: Callable[[Any, str, Any], object]
) -> Iterator[Problem]:
    if not isinstance(inputs, Mapping):
        yield Problem(place, "this is not a dictionary", "give an array for each input, by its name")
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
            fit(signature, name, value)
        except (TypeError, ValueError, DecodeError) as error:
            yield Problem(f"{place}[{name!r}]", str(error), "give what a request for this signature would hold")
