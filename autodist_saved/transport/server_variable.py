"""A variable of a parameter server, with the names by which its TensorFlow server finds it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from autodist_saved.transport.transport_pb2 import Shape, Variable, Variables


class ServerVariable(NamedTuple):
    """What a parameter server needs to find a variable in its own memory.

    Attributes:
        name: the ``shared_name`` of the variable's op.
        container: name of the resource container; empty for the default one.
        dtype: name of the element type, such as ``float32``.
        reference: whether it is a reference variable, which has no resource handle.
        shape: planned shape; None if it is known only in the running job. A reference variable always has a shape.
    """

    name: str
    container: str
    dtype: str
    reference: bool
    shape: tuple[int, ...] | None


def encode_variables(variables: Sequence[ServerVariable]) -> bytes:
    """Encode variables as a ``Variables`` message. Lists that were encoded recently are cached."""
    return _encode(tuple(variables))


# Exports of a job send the same list each time, and to encode thousands of variables takes longer than all else.
@lru_cache(maxsize=64)
def _encode(variables: tuple[ServerVariable, ...]) -> bytes:
    message = Variables()
    for name, container, dtype, reference, shape in variables:
        extents = None if shape is None else Shape(extents=shape)
        message.variables.append(
            Variable(name=name, container=container, dtype=dtype, reference=reference, shape=extents)
        )
    return message.SerializeToString()


@lru_cache(maxsize=2)
def decode_variables(message: bytes) -> tuple[ServerVariable, ...]:
    """Decode a ``Variables`` message. For a message that was decoded recently, it returns the same objects."""
    return tuple(
        ServerVariable(
            variable.name,
            variable.container,
            variable.dtype,
            variable.reference,
            tuple(variable.shape.extents) if variable.HasField("shape") else None,
        )
        for variable in Variables.FromString(message).variables
    )
