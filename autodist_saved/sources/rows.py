"""Which tensors TensorFlow can read and write row by row."""

from __future__ import annotations

import tensorflow as tf

# Types and ranks that TensorFlow has kernels for to slice, to concatenate and to assign in part.
_RANK_MAX = 7
_TYPES = frozenset(
    {
        *("float16", "float32", "float64", "bfloat16", "complex64", "complex128", "bool"),
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    }
)


def has_rows(dtype: tf.DType, rank: int | None) -> bool:
    """Whether rows of such a tensor can be read and written by themselves. ``rank``: None for any."""
    return dtype.base_dtype.name in _TYPES and (rank is None or 0 < rank <= _RANK_MAX)


def are_rows_readable(dtype: tf.DType, rank: int | None) -> bool:
    """Whether rows of such a tensor can be read by themselves. A scalar is one row. ``rank``: None for any."""
    return dtype.base_dtype.name in _TYPES | {"string"} and (rank is None or rank <= _RANK_MAX)
