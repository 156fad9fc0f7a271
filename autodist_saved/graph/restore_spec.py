"""What a graph restores. Plain data."""

from __future__ import annotations

from dataclasses import dataclass

from autodist_saved.plan import Shape


@dataclass(frozen=True)
class RestoreSpec:
    """What a graph restores under one key of ``variables/``.

    Attributes:
        key: the key.
        value: name of the job's variable whose value that is to be.
        dtype: name of its element type; None where the graph does not tell.
        shape: its shape; None where the graph does not tell.
    """

    key: str
    value: str
    dtype: str | None = None
    shape: Shape | None = None
