"""The sorted string table that stores the index of a bundle: blocks of keys and values, an index of blocks, a footer.

The format is LevelDB's, which TensorFlow adopted (``tensorflow/core/lib/io/table.h``). docs/format.md describes every
byte.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from autodist_saved.bundle import crc32c, varint
from autodist_saved.bundle.damage import Damage

_MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)
_HANDLES_BYTES = 40
_FOOTER_BYTES = _HANDLES_BYTES + len(_MAGIC)
_TRAILER = struct.Struct("<BI")  # the compression, and the masked checksum of the block and the compression
_NO_COMPRESSION, _SNAPPY = 0, 1
_BLOCK_BYTES = 256 * 1024  # TensorFlow's default
_KEYS_PER_RESTART = 16  # TensorFlow's default: as many keys at most share bytes with each other
# Bytes of all keys, for each byte of the file: of those above, and of those in the index of blocks, which share none.
_MAX_KEY_BYTES = _KEYS_PER_RESTART + 1


def write_table(file: BinaryIO, items: Iterable[tuple[bytes, bytes]]) -> None:
    """Write keys and values as an uncompressed table.

    Args:
        file: a new binary file.
        items: keys and values, sorted by the bytes of the keys.
    """
    position = 0

    def write_block(block: bytes) -> bytes:
        """Append one block. Returns its handle: where it begins, and its size."""
        nonlocal position
        handle = varint.encode(position) + varint.encode(len(block))
        checksum = crc32c.extend(crc32c.extend(0, block), bytes([_NO_COMPRESSION]))
        position += file.write(block) + file.write(_TRAILER.pack(_NO_COMPRESSION, crc32c.mask(checksum)))
        return handle

    index = _BlockBuilder(keys_per_restart=1)
    block = _BlockBuilder(_KEYS_PER_RESTART)
    for key, value in items:
        block.add(key, value)
        if block.nbytes >= _BLOCK_BYTES:
            index.add(block.last_key, write_block(block.finish()))
            block = _BlockBuilder(_KEYS_PER_RESTART)
    if block.nbytes:
        index.add(block.last_key, write_block(block.finish()))
    handles = write_block(_BlockBuilder(1).finish()) + write_block(index.finish())
    file.write(handles.ljust(_HANDLES_BYTES, b"\0") + _MAGIC)


def read_table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Decode a table.

    This checks every byte: the footer, the checksum of every block, and that keys strictly ascend. No number in the
    data makes it allocate more memory than a small multiple of the data.

    Yields:
        all keys and values, in order of the keys.

    Raises:
        Damage: the table is damaged. The error may come after some of the items.
    """
    if len(data) < _FOOTER_BYTES or not data.endswith(_MAGIC):
        raise Damage("it does not end as the index of a tensor bundle does: it is another file, or is truncated")
    footer = len(data) - _FOOTER_BYTES
    handles = data[footer : footer + _HANDLES_BYTES]
    meta_offset, meta_size, end = _decode_handle(handles, 0)
    index_offset, index_size, end = _decode_handle(handles, end)
    if any(handles[end:]):
        raise Damage("its footer contains more than it should")
    for _ in _items(_block(data, meta_offset, meta_size, footer)):
        raise Damage("it contains metadata, which tensor bundles do not have")

    def counted(key: bytes, key_bytes: int) -> int:
        """The bytes of all keys so far, and of one more."""
        if key_bytes + len(key) > _MAX_KEY_BYTES * len(data):
            raise Damage("its keys are far longer than the file, because they repeat bytes of each other")
        return key_bytes + len(key)

    last_key, last_end, key_bytes = None, 0, 0
    for bound, handle in _items(_block(data, index_offset, index_size, footer)):
        offset, size, end = _decode_handle(handle, 0)
        if end != len(handle) or offset < last_end:
            raise Damage("its index of blocks lists a block twice, out of order, or at a wrong place")
        last_end = offset + size
        key_bytes = counted(bound, key_bytes)
        for key, value in _items(_block(data, offset, size, footer)):
            if (last_key is not None and key <= last_key) or key > bound:
                raise Damage(f"the key {key!r} appears twice or out of order")
            last_key = key
            key_bytes = counted(key, key_bytes)
            yield key, value


class _BlockBuilder:
    """Builds one block. Each key is stored without the bytes that it shares with the key before it."""

    def __init__(self, keys_per_restart: int) -> None:
        self.last_key = b""
        self._keys_per_restart = keys_per_restart
        self._buffer = bytearray()
        self._restarts = [0]
        self._keys = 0

    @property
    def nbytes(self) -> int:
        return len(self._buffer)

    def add(self, key: bytes, value: bytes) -> None:
        shared = 0
        if self._keys and self._keys % self._keys_per_restart == 0:
            self._restarts.append(len(self._buffer))
        else:
            shared = _shared_bytes(self.last_key, key)
        self._buffer += varint.encode(shared) + varint.encode(len(key) - shared) + varint.encode(len(value))
        self._buffer += key[shared:] + value
        self._keys += 1
        self.last_key = key

    def finish(self) -> bytes:
        count = len(self._restarts)
        return bytes(self._buffer) + struct.pack(f"<{count + 1}I", *self._restarts, count)


def _shared_bytes(a: bytes, b: bytes) -> int:
    position = 0
    for one, other in zip(a, b, strict=False):
        if one != other:
            break
        position += 1
    return position


def _decode_handle(data: bytes, position: int) -> tuple[int, int, int]:
    """Decode a handle. Returns the block's offset and size without trailer, and the position after the handle."""
    offset, position = varint.decode(data, position)
    size, position = varint.decode(data, position)
    return offset, size, position


def _block(data: bytes, offset: int, size: int, limit: int) -> bytes:
    """The block at ``offset``, after comparing its checksum. The block and its trailer must end before ``limit``."""
    end = offset + size
    if end + _TRAILER.size > limit:
        raise Damage(f"a block at byte {offset} would reach beyond the end of the file")
    compression, masked = _TRAILER.unpack_from(data, end)
    if crc32c.extend(0, data[offset : end + 1]) != crc32c.unmask(masked):
        raise Damage(f"the checksum of the block at byte {offset} does not match its bytes")
    if compression == _SNAPPY:
        raise Damage(
            f"the block at byte {offset} is compressed with Snappy, which this package does not read",
            "load the checkpoint with TensorFlow and save it again: it writes the index without compression",
        )
    if compression != _NO_COMPRESSION:
        raise Damage(f"the block at byte {offset} has an unknown compression ({compression})")
    return data[offset:end]


def _items(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of one block."""
    if len(block) < 4:
        raise Damage("a block is shorter than any block can be")
    (restarts,) = struct.unpack_from("<I", block, len(block) - 4)
    end = len(block) - 4 * (restarts + 1)
    if end < 0:
        raise Damage("a block has more restarts than bytes")
    key, position = b"", 0
    while position < end:
        shared, position = varint.decode(block, position)
        unshared, position = varint.decode(block, position)
        value_bytes, position = varint.decode(block, position)
        value_start = position + unshared
        if shared > len(key) or value_start + value_bytes > end:
            raise Damage("a key or value would reach beyond the end of its block")
        key = key[:shared] + block[position:value_start]
        position = value_start + value_bytes
        yield key, block[value_start:position]
