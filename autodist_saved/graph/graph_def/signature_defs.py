"""``SignatureDef``: the names of tensors in it, and whether it is for users."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tensorflow.core.protobuf import meta_graph_pb2

_RESERVED = "__saved_model_"  # TensorFlow's own signatures: of the init op, of the train op


def is_for_users(key: str) -> bool:
    """Whether users call a signature of this name. TensorFlow reserves the others for itself."""
    return not key.startswith(_RESERVED)


def tensor_names(info: Any) -> Iterator[str]:
    """Yield all names in a ``TensorInfo``."""
    for proto, field in _fields(info):
        yield getattr(proto, field)


def names_in(infos: Mapping[str, Any]) -> Iterator[str]:
    """Yield all names in the inputs, or the outputs, of a signature."""
    for info in infos.values():
        yield from tensor_names(info)


def all_names(signature: meta_graph_pb2.SignatureDef) -> Iterator[str]:
    """Yield all names in a signature."""
    yield from names_in(signature.inputs)
    yield from names_in(signature.outputs)


def rename_tensors(signature: meta_graph_pb2.SignatureDef, new_name: Callable[[str], str]) -> None:
    """Replace all names in a signature."""
    for info in (*signature.inputs.values(), *signature.outputs.values()):
        for proto, field in _fields(info):
            setattr(proto, field, new_name(getattr(proto, field)))


def _fields(info: Any) -> Iterator[tuple[Any, str]]:
    match info.WhichOneof("encoding"):
        case "name":
            yield info, "name"
        case "coo_sparse":
            for field in ("values_tensor_name", "indices_tensor_name", "dense_shape_tensor_name"):
                yield info.coo_sparse, field
        case "composite_tensor":
            for component in info.composite_tensor.components:
                yield from _fields(component)
