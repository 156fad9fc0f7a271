"""What a graph restores under one key. Plain data."""

from __future__ import annotations

from dataclasses import dataclass

from autodist_saved.bundle.slice_spec import Slice
from autodist_saved.plan import Shape


@dataclass(frozen=True)
class RestoreSpec:
    """What a graph restores under one key of ``variables/``.

    Attributes:
        key: the key.
        value: name of the job's variable whose value is written under that key.
        dtype: name of its element type; None where the graph does not say.
        shape: its shape; None where the graph does not say.
        slices: what is read of it one by one; nothing where it is read as a whole.
    """

    key: str
    value: str
    dtype: str | None = None
    shape: Shape | None = None
    slices: tuple[Slice, ...] = ()
