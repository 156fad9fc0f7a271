"""Small bundles for tests: ours, by hand, and TensorFlow's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from autodist_saved.bundle import BundleWriter
from autodist_saved.bundle.bundle_pb2 import BundleEntryProto, BundleHeaderProto
from autodist_saved.bundle.table import write_table


def write_bundle(prefix: Path, tensors: Mapping[str, np.ndarray[Any, Any]]) -> Path:
    """Our writer; object arrays become string tensors."""
    with BundleWriter(prefix) as writer:
        for name, array in tensors.items():
            if array.dtype == object:
                writer.add_strings(name, array.shape, list(array.reshape(-1)))
            else:
                entry = writer.begin(name, array.dtype.name, array.shape)
                entry.append(array)
    return prefix


def header(**changes: Any) -> bytes:
    """The header of a bundle of one data file."""
    return BundleHeaderProto(**{"num_shards": 1, "version": {"producer": 1}, **changes}).SerializeToString()


def entry(shape: Iterable[int] = (2,), *, unknown_rank: bool = False, **changes: Any) -> bytes:
    """The entry of a float32 tensor at the beginning of data file 0."""
    message = {"dim": [{"size": extent} for extent in shape], "unknown_rank": unknown_rank}
    fields: dict[str, Any] = {"dtype": 1, "shape": message, "size": 8, **changes}
    return BundleEntryProto(**fields).SerializeToString()


def write_raw(prefix: Path, items: Iterable[tuple[bytes, bytes]], data: bytes = bytes(64)) -> Path:
    """A bundle with any keys and values, right or wrong, in the order given."""
    with Path(f"{prefix}.index").open("wb") as file:
        write_table(file, items)
    Path(f"{prefix}.data-00000-of-00001").write_bytes(data)
    return prefix


def save_with_tensorflow(prefix: Path, tensors: Mapping[str, Any], slices: Mapping[str, str] | None = None) -> Path:
    """TensorFlow's writer. ``slices`` gives the slice of those that are not whole."""
    import tensorflow as tf

    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(tensors),
        shape_and_slices=[(slices or {}).get(name, "") for name in tensors],
        tensors=list(tensors.values()),
    )
    return prefix
