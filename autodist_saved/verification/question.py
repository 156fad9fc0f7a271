"""What signatures are asked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from autodist_saved.graph.arguments.examples import tensor_proto
from autodist_saved.graph.graph_def.signature_defs import tensor_names


@dataclass(frozen=True)
class Question:
    """One call of a signature.

    Attributes:
        signature: its name.
        number: of the example; None for inputs that were made up.
        inputs: a ``TensorProto`` for each of its inputs.
    """

    signature: str
    number: int | None
    inputs: Mapping[str, Any]

    def __str__(self) -> str:
        which = self.kind_of_inputs if self.number is None else f"example {self.number}"
        return f"signature {self.signature!r}, {which}"

    @property
    def kind_of_inputs(self) -> str:
        """Whether they are examples, and if not what they are."""
        if self.number is not None:
            return "examples"
        inputs = (
            f"{name} {tf.as_dtype(value.dtype).name} {tf.TensorShape(value.tensor_shape)}"
            for name, value in self.inputs.items()
        )
        return f"made-up inputs ({', '.join(inputs)})"

    @property
    def fix(self) -> str:
        """What to do where nothing answers it."""
        return "give examples" if self.number is None else "give what a request for this signature would hold"

    def feeds(self, signature: Any) -> dict[str, Any]:
        """The inputs by the names of tensors, in the graph that a ``SignatureDef`` is of."""
        return {signature.inputs[name].name: value for name, value in self.inputs.items()}


def questions(key: str, signature: Any, examples: Sequence[Mapping[str, Any]]) -> list[Question]:
    """One question for each example; without any, one with inputs that are made up.

    Raises:
        TypeError: none can be made up.
    """
    defaults = dict(signature.defaults.items())
    if examples:
        return [
            Question(
                key,
                number,
                {**defaults, **{name: tensor_proto(value, signature.inputs[name]) for name, value in inputs.items()}},
            )
            for number, inputs in enumerate(examples)
        ]
    made_up = {name: _made_up(info) for name, info in sorted(signature.inputs.items()) if name not in defaults}
    return [Question(key, None, {**defaults, **made_up})]


def fetches(signature: Any) -> dict[str, str]:
    """The names of all tensors of a signature's outputs, by labels that do not depend on the graph."""
    return dict(_labelled(signature))


def _labelled(signature: Any) -> Iterator[tuple[str, str]]:
    for key, info in sorted(signature.outputs.items()):
        names = list(tensor_names(info))
        for number, name in enumerate(names):
            yield key if len(names) == 1 else f"{key}[{number}]", name


def _made_up(info: Any) -> Any:
    """Different numbers between 0 and 1, zeros where these are whole, empty strings; 1 for unknown dimensions."""
    if info.WhichOneof("encoding") != "name":
        raise TypeError("inputs that are no dense tensors are not made up")
    dtype = tf.as_dtype(info.dtype)
    shape = [1 if size is None else size for size in _sizes(info)]
    if not dtype.is_floating and not dtype.is_complex:
        return tf.make_tensor_proto(np.full(shape, b"" if dtype == tf.string else 0, dtype.as_numpy_dtype), dtype)
    count = math.prod(shape)
    numbers = np.arange(1, count + 1) / (count + 1)
    return tf.make_tensor_proto(numbers.reshape(shape).astype(dtype.as_numpy_dtype))


def _sizes(info: Any) -> list[int | None]:
    """Of all dimensions; None for an unknown one, and no dimension where it is not known how many there are."""
    shape = tf.TensorShape(info.tensor_shape)
    return [] if shape.rank is None else shape.as_list()
