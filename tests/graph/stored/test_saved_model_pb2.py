"""Our messages are TensorFlow's, as far as they go: the same numbers, the same kinds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from tensorflow.core.protobuf import saved_model_pb2 as tensorflows

from autodist_saved.graph.stored import saved_model_pb2 as ours

# An enum without our own names for its values is an int32: the same bytes.
_SAME = {FieldDescriptor.TYPE_ENUM: FieldDescriptor.TYPE_INT32}


def _pairs(our: Descriptor, their: Descriptor, seen: set[str]) -> Iterator[tuple[FieldDescriptor, FieldDescriptor]]:
    """The fields of a message and of all messages below it, each with TensorFlow's of the same name."""
    if our.full_name in seen:
        return
    seen.add(our.full_name)
    for field in our.fields:
        assert field.name in their.fields_by_name, f"TensorFlow has no {field.full_name}"
        other = their.fields_by_name[field.name]
        yield field, other
        if field.message_type is not None:
            yield from _pairs(field.message_type, other.message_type, seen)


@pytest.mark.parametrize(
    ("field", "other"),
    list(_pairs(ours.SavedModel.DESCRIPTOR, tensorflows.SavedModel.DESCRIPTOR, set())),
    ids=lambda field: field.full_name,
)
def test_fields_are_tensorflows(field: FieldDescriptor, other: FieldDescriptor) -> None:
    assert field.number == other.number
    assert field.is_repeated == other.is_repeated
    assert field.type == _SAME.get(other.type, other.type)


def test_assets_are_tensorflows() -> None:
    """They are packed into bytes, so nothing names the message."""
    theirs = tensorflows.DESCRIPTOR.pool.FindMessageTypeByName("tensorflow.AssetFileDef")
    assert theirs.fields_by_name["filename"].number == ours.AssetFileDef.FILENAME_FIELD_NUMBER


def test_what_is_not_read_is_kept() -> None:
    node = tensorflows.SavedModel().meta_graphs.add().graph_def.node.add(name="a", op="Const")
    node.attr["value"].i = 3
    ours_then = ours.NodeDef.FromString(node.SerializeToString(deterministic=True))
    assert ours_then.SerializeToString(deterministic=True) == node.SerializeToString(deterministic=True)
