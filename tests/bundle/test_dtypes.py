from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import types_pb2

from autodist_saved.bundle.dtypes import item_bytes, name_of, number_of, numpy_dtype

_VALUE_TYPES = {
    tf.dtypes.as_dtype(number).name: number for _, number in types_pb2.DataType.items() if 0 < number < 100
}


def test_every_type_of_the_installed_tensorflow_is_known_by_its_number() -> None:
    unstorable = {"resource"}  # a handle is no value
    assert {name: number_of(name) for name in _VALUE_TYPES if name not in unstorable} == {
        name: number for name, number in _VALUE_TYPES.items() if name not in unstorable
    }
    assert all(name_of(number) == name for name, number in _VALUE_TYPES.items() if name not in unstorable)


@pytest.mark.parametrize("name", [name for name in _VALUE_TYPES if item_bytes(name) is not None])
def test_elements_are_as_large_as_tensorflow_has_them(name: str) -> None:
    dtype = tf.dtypes.as_dtype(name)
    assert item_bytes(name) == dtype.size == numpy_dtype(name).itemsize
    if not dtype.is_quantized:
        assert numpy_dtype(name) == np.dtype(dtype.as_numpy_dtype)


def test_quantized_types_are_read_as_the_integers_they_are_stored_as() -> None:
    assert [numpy_dtype(name) for name in ("qint8", "quint16", "qint32")] == [np.int8, np.uint16, np.int32]


def test_unknown_types_have_neither_number_nor_size() -> None:
    assert number_of("float128") is None
    assert item_bytes("float128") is None
    assert item_bytes("string") is None
    assert name_of(99) is None
