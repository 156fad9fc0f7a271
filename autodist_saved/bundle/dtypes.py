"""Element types as a tensor bundle numbers them (``DataType`` in TensorFlow's ``types.proto``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

_NUMBER_AND_BYTES: dict[str, tuple[int, int | None]] = {
    "float32": (1, 4),
    "float64": (2, 8),
    "int32": (3, 4),
    "uint8": (4, 1),
    "int16": (5, 2),
    "int8": (6, 1),
    "string": (7, None),
    "complex64": (8, 8),
    "int64": (9, 8),
    "bool": (10, 1),
    "qint8": (11, 1),
    "quint8": (12, 1),
    "qint32": (13, 4),
    "bfloat16": (14, 2),
    "qint16": (15, 2),
    "quint16": (16, 2),
    "uint16": (17, 2),
    "complex128": (18, 16),
    "float16": (19, 2),
    "variant": (21, None),
    "uint32": (22, 4),
    "uint64": (23, 8),
    "float8_e5m2": (24, 1),
    "float8_e4m3fn": (25, 1),
    "float8_e4m3fnuz": (26, 1),
    "float8_e4m3b11fnuz": (27, 1),
    "float8_e5m2fnuz": (28, 1),
    # An element of fewer than eight bits takes a whole byte.
    "int4": (29, 1),
    "uint4": (30, 1),
    "int2": (31, 1),
    "uint2": (32, 1),
    "float4_e2m1fn": (33, 1),
}

_NAME = {number: name for name, (number, _) in _NUMBER_AND_BYTES.items()}


def item_bytes(name: str) -> int | None:
    """Bytes of one element in a bundle; None for strings and for types that a bundle cannot hold."""
    return _NUMBER_AND_BYTES.get(name, (0, None))[1]


def number_of(name: str) -> int | None:
    """TensorFlow's number for an element type; None if a bundle cannot hold this type."""
    return _NUMBER_AND_BYTES.get(name, (None, None))[0]


def name_of(number: int) -> str | None:
    """The name of the element type with this number; None if there is none in a bundle."""
    return _NAME.get(number)


def numpy_dtype(name: str) -> np.dtype[Any]:
    """NumPy's dtype for an element type; for strings ``object``, whose elements are ``bytes``.

    A quantized type becomes the integer type that stores it (``qint8`` becomes ``int8``), as in
    ``tf.train.load_checkpoint``. Types that NumPy lacks come from ``ml_dtypes``, which TensorFlow installs.
    """
    import numpy as np

    if name == "string":
        return np.dtype(object)
    plain = name.removeprefix("q")
    if plain in np.sctypeDict:
        return np.dtype(plain)
    import ml_dtypes  # imported here because most bundles need none of its types

    dtype: np.dtype[Any] = np.dtype(getattr(ml_dtypes, plain))
    return dtype
