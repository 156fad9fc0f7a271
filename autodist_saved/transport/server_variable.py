"""A variable as the TensorFlow server names it that holds it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from autodist_saved.transport.transport_pb2 import Shape, Variable, Variables


class ServerVariable(NamedTuple):
    """What a parameter server needs to find a variable in its own memory.

    Attributes:
        name: its ``shared_name``.
        container: of the server, in which the name is looked up; empty for the default one.
        dtype: name of its element type.
        reference: whether it is a reference variable, that is, without a resource handle.
        shape: as planned; None where the running job alone knows. Reference variables have one.
    """

    name: str
    container: str
    dtype: str
    reference: bool
    shape: tuple[int, ...] | None


def encode_variables(variables: Sequence[ServerVariable]) -> bytes:
    """How variables travel, a ``Variables`` message; fast where they were encoded lately."""
    return _encode(tuple(variables))


# From one export to the next they are the same, and thousands of them take longer than all else that is asked.
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
    """The variables of a ``Variables`` message; those of one that came lately are the same objects."""
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
