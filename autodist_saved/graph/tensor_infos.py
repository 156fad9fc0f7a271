"""``TensorInfo``: how signatures name tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def tensor_names(info: Any) -> Iterator[str]:
    """All names in a ``TensorInfo``."""
    for proto, field in _names(info):
        yield getattr(proto, field)


def rename_tensors(info: Any, new_name: Callable[[str], str]) -> None:
    """Replace all names in a ``TensorInfo``."""
    for proto, field in _names(info):
        setattr(proto, field, new_name(getattr(proto, field)))


def _names(info: Any) -> Iterator[tuple[Any, str]]:
    match info.WhichOneof("encoding"):
        case "name":
            yield info, "name"
        case "coo_sparse":
            for field in ("values_tensor_name", "indices_tensor_name", "dense_shape_tensor_name"):
                yield info.coo_sparse, field
        case "composite_tensor":
            for component in info.composite_tensor.components:
                yield from _names(component)
