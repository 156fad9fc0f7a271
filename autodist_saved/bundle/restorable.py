"""What TensorFlow's ``RestoreV2`` can read of a bundle.

It takes slices of most types out of whatever is stored: a whole tensor, or other slices. Of the other types it gives
only what is stored as it is asked for. See ``BundleReader::GetSliceValue`` in ``tensorflow/core/util/tensor_bundle``.
"""

from __future__ import annotations

from collections.abc import Collection

from autodist_saved.bundle.slice_spec import Slice

_SLICED = frozenset(
    {
        *("float32", "float64", "bfloat16", "complex64", "complex128", "bool"),
        *("int4", "int8", "int16", "int32", "int64", "uint4", "uint8", "qint8", "qint32", "quint8"),
    }
)


def is_sliced_when_restored(dtype: str) -> bool:
    """Whether slices of such a tensor can be restored however it is stored."""
    return dtype in _SLICED


def why_unrestorable(dtype: str, stored: Collection[Slice], read: Collection[Slice]) -> str | None:
    """Why a graph cannot read a tensor; None where it can.

    Args:
        dtype: of the tensor.
        stored: the slices in which it is stored; none where it is stored as a whole.
        read: the slices that the graph reads; none where it reads the whole.
    """
    parts_stored, parts_read = ({part for part in parts if not part.is_whole} for parts in (stored, read))
    if is_sliced_when_restored(dtype) or (parts_read <= parts_stored and bool(parts_read) == bool(parts_stored)):
        return None
    return (
        f"TensorFlow restores {dtype} only as it is stored: it is stored {_told(parts_stored)}, and a graph reads it "
        f"{_told(parts_read)}"
    )


def _told(parts: Collection[Slice]) -> str:
    return f"in slices that begin at {sorted(list(part.start) for part in parts)}" if parts else "as a whole"
