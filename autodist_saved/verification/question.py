"""The calls of signatures with which the job and the model are compared."""

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
        signature: name of the signature.
        number: number of the example; None if the inputs were made up.
        inputs: a ``TensorProto`` for each input, by its name in the signature.
    """

    signature: str
    number: int | None
    inputs: Mapping[str, Any]

    def __str__(self) -> str:
        which = self.kind_of_inputs if self.number is None else f"example {self.number}"
        return f"signature {self.signature!r}, {which}"

    @property
    def kind_of_inputs(self) -> str:
        """Whether the inputs are examples or made up, and dtypes and shapes of the latter; for messages."""
        if self.number is not None:
            return "examples"
        inputs = (
            f"{name} {tf.as_dtype(value.dtype).name} {tf.TensorShape(value.tensor_shape)}"
            for name, value in self.inputs.items()
        )
        return f"made-up inputs ({', '.join(inputs)})"

    @property
    def fix(self) -> str:
        """What to do if the call cannot be answered."""
        return "give examples" if self.number is None else "give an example with the values of a real request"

    def feeds(self, signature: Any) -> dict[str, Any]:
        """The inputs by the names of the tensors in a graph.

        Args:
            signature: the ``SignatureDef`` of the signature in that graph.
        """
        return {signature.inputs[name].name: value for name, value in self.inputs.items()}


def questions(key: str, signature: Any, examples: Sequence[Mapping[str, Any]]) -> list[Question]:
    """Make the calls of a signature: one for each example; without examples, one with made-up inputs.

    Args:
        key: name of the signature.
        signature: its ``SignatureDef``.
        examples: values of inputs, by their names in the signature. Inputs with defaults may be left out.

    Raises:
        TypeError: there are no examples, and inputs cannot be made up.
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
    """The names of all tensors of a signature's outputs, by labels that are the same in every graph.

    An output with several tensors (a sparse one, for example) has a label for each.
    """
    return dict(_labelled(signature))


def _labelled(signature: Any) -> Iterator[tuple[str, str]]:
    for key, info in sorted(signature.outputs.items()):
        names = list(tensor_names(info))
        for number, name in enumerate(names):
            yield key if len(names) == 1 else f"{key}[{number}]", name


def _made_up(info: Any) -> Any:
    """Make up an input: different numbers between 0 and 1 for floats, zeros for integers, empty strings.

    Dimensions that are not fixed get the extent 1.
    """
    if info.WhichOneof("encoding") != "name":
        raise TypeError("inputs can only be made up for dense tensors")
    dtype = tf.as_dtype(info.dtype)
    shape = [1 if size is None else size for size in _sizes(info)]
    if not dtype.is_floating and not dtype.is_complex:
        return tf.make_tensor_proto(np.full(shape, b"" if dtype == tf.string else 0, dtype.as_numpy_dtype), dtype)
    count = math.prod(shape)
    numbers = np.arange(1, count + 1) / (count + 1)
    return tf.make_tensor_proto(numbers.reshape(shape).astype(dtype.as_numpy_dtype))


def _sizes(info: Any) -> list[int | None]:
    """The extents of all dimensions. An unknown extent is None; an unknown rank counts as a scalar."""
    shape = tf.TensorShape(info.tensor_shape)
    return [] if shape.rank is None else shape.as_list()
