from __future__ import annotations

import pytest
from google.protobuf.descriptor import Descriptor
from tensorflow.core.framework import tensor_shape_pb2, tensor_slice_pb2, versions_pb2
from tensorflow.core.protobuf import tensor_bundle_pb2

from autodist_saved.bundle import bundle_pb2

PAIRS = [
    (bundle_pb2.BundleHeaderProto, tensor_bundle_pb2.BundleHeaderProto),
    (bundle_pb2.BundleEntryProto, tensor_bundle_pb2.BundleEntryProto),
    (bundle_pb2.VersionDef, versions_pb2.VersionDef),
    (bundle_pb2.TensorShapeProto, tensor_shape_pb2.TensorShapeProto),
    (bundle_pb2.TensorShapeProto.Dim, tensor_shape_pb2.TensorShapeProto.Dim),
    (bundle_pb2.TensorSliceProto, tensor_slice_pb2.TensorSliceProto),
    (bundle_pb2.TensorSliceProto.Extent, tensor_slice_pb2.TensorSliceProto.Extent),
]


def _fields(descriptor: Descriptor) -> dict[str, tuple[int, str, bool]]:
    # An enum without our own names for its values is an int32: the same bytes.
    kinds = {descriptor.fields[0].TYPE_ENUM: "int32", descriptor.fields[0].TYPE_INT32: "int32"}
    return {
        field.name: (field.number, kinds.get(field.type, str(field.type)), field.is_repeated)
        for field in descriptor.fields
    }


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda message: message.DESCRIPTOR.name)
def test_messages_have_the_fields_of_tensorflows(ours: type, theirs: type) -> None:
    assert _fields(ours.DESCRIPTOR) == _fields(theirs.DESCRIPTOR)
