from __future__ import annotations

import pytest
from tensorflow.core.protobuf import tensor_bundle_pb2

from autodist_saved.bundle.crc32c import mask
from autodist_saved.bundle.entry import Entry, Part, encode_entry, is_storable


def _part(start: tuple[int, ...], shape: tuple[int, ...], nbytes: int) -> Part:
    return Part(start, shape, data_file=2, offset=2**33, nbytes=nbytes, crc32c=77)


def test_a_whole_entry_is_encoded_as_tensorflow_reads_it() -> None:
    entry = Entry("emb", "bfloat16", (2**31, 4), (_part((0, 0), (2**31, 4), 2**34),))
    message = tensor_bundle_pb2.BundleEntryProto.FromString(encode_entry(entry))
    assert (message.dtype, [dim.size for dim in message.shape.dim]) == (14, [2**31, 4])
    assert (message.shard_id, message.offset, message.size) == (2, 2**33, 2**34)
    assert message.crc32c == mask(77)
    assert not message.slices


def test_a_scalar_has_a_shape() -> None:
    entry = Entry("step", "int64", (), (_part((), (), 8),))
    assert tensor_bundle_pb2.BundleEntryProto.FromString(encode_entry(entry)).HasField("shape")


def test_bytes_are_those_of_all_slices() -> None:
    whole = Entry("emb", "float32", (4, 2), (_part((0, 0), (4, 2), 32),))
    sliced = Entry("emb", "float32", (4, 2), (_part((0, 0), (1, 2), 8), _part((1, 0), (3, 2), 24)))
    assert (whole.nbytes, whole.is_sliced) == (32, False)
    assert (sliced.nbytes, sliced.is_sliced) == (32, True)


@pytest.mark.parametrize(
    ("dtype", "shape", "storable"),
    [
        ("float32", (), True),
        ("float32", (0, 3), True),
        ("float32", (2**61 - 1,), True),
        ("float32", (2**61,), False),
        ("float32", (0, 2**62, 2), False),
        ("float32", (-1,), False),
        ("string", (2**63,), False),
        ("int8", (1,) * 64, True),
        ("int8", (1,) * 65, False),
    ],
)
def test_shapes_that_no_machine_can_hold_are_not_storable(dtype: str, shape: tuple[int, ...], storable: bool) -> None:
    assert is_storable(dtype, shape) is storable
