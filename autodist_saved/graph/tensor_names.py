"""The tensors that a signature names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def tensor_names(info: Any) -> Iterator[str]:
    """The names of all tensors that a ``TensorInfo`` stands for."""
    match info.WhichOneof("encoding"):
        case "name":
            yield info.name
        case "coo_sparse":
            yield info.coo_sparse.values_tensor_name
            yield info.coo_sparse.indices_tensor_name
            yield info.coo_sparse.dense_shape_tensor_name
        case "composite_tensor":
            for component in info.composite_tensor.components:
                yield from tensor_names(component)
