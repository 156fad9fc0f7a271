"""A variable as the TensorFlow server names it that holds it."""

from __future__ import annotations

from typing import NamedTuple


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
