from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from autodist_saved.bundle import BundleReader, BundleWriter
from autodist_saved.errors import BundleError
from tests.support.bundles import save_with_tensorflow, write_bundle

WORDS = np.array([[b"late", b""], [b"on time", b"\xff\0"]], object)
TABLE = np.arange(60, dtype=np.float64).reshape(5, 4, 3)


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "v", {"words": WORDS, "table": TABLE, "step": np.int64(9)})


def test_entries_tell_what_there_is_without_reading_it(prefix: Path) -> None:
    entries = BundleReader(prefix).entries
    assert [(entry.name, entry.dtype, entry.shape, entry.nbytes) for entry in entries.values()] == [
        ("step", "int64", (), 8),
        ("table", "float64", (5, 4, 3), 480),
        ("words", "string", (2, 2), 21),
    ]


def test_rows_are_read_alone(prefix: Path) -> None:
    reader = BundleReader(prefix)
    np.testing.assert_array_equal(reader.read_rows("table", 1, 4), TABLE[1:4])
    assert reader.read_rows("table", 2, 2).shape == (0, 4, 3)
    assert reader.read_rows("words", 1, 2).tolist() == [[b"on time", b"\xff\0"]]
    assert reader.read_rows("step", 0, 1) == 9


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (3, 2), (0, 6)])
def test_rows_that_are_not_there_are_told(prefix: Path, start: int, stop: int) -> None:
    with pytest.raises(BundleError, match=f"has 5 rows and no rows {start} to {stop}"):
        BundleReader(prefix).read_rows("table", start, stop)


def test_a_scalar_has_one_row(prefix: Path) -> None:
    with pytest.raises(BundleError, match="has 1 rows"):
        BundleReader(prefix).read_rows("step", 0, 0)


def test_a_tensor_that_is_not_there_is_told(prefix: Path) -> None:
    for ask in (BundleReader(prefix).read, BundleReader(prefix).verify):
        with pytest.raises(BundleError, match="no tensor 'tabel' in the bundle") as caught:
            ask("tabel")
        assert caught.value.variable == "tabel"


@pytest.mark.parametrize("place", [0, 300, 479])
def test_a_changed_byte_of_a_tensor_is_found_by_read_and_verify(prefix: Path, place: int) -> None:
    data = Path(f"{prefix}.data-00000-of-00001")
    changed = bytearray(data.read_bytes())
    changed[21 + place] ^= 1
    data.write_bytes(changed)
    reader = BundleReader(prefix)
    for ask in (reader.read, reader.verify):
        with pytest.raises(BundleError, match="checksum of 'table' does not match") as caught:
            ask("table")
        assert caught.value.path == str(data)
    reader.verify("words")
    with pytest.raises(BundleError, match="'table'"):
        reader.verify_all()


@pytest.mark.parametrize("chunk_bytes", [1, 7, 480, 10_000])
def test_verify_in_chunks_of_any_size(prefix: Path, chunk_bytes: int) -> None:
    BundleReader(prefix).verify_all(chunk_bytes)


def test_verify_holds_one_chunk(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "v") as writer:
        entry = writer.begin("big", "uint8", (32 * 2**20,))
        entry.append(bytes(32 * 2**20))
    tracemalloc.start()
    try:
        BundleReader(tmp_path / "v").verify("big", chunk_bytes=2**20)
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("missing", [".index", ".data-00000-of-00001"])
def test_a_missing_file_is_named(prefix: Path, missing: str) -> None:
    Path(f"{prefix}{missing}").unlink()
    with pytest.raises(BundleError, match=f"{missing}: there is no such file; check the path"):
        BundleReader(prefix)


def test_data_cut_short_are_found_on_opening_and_on_reading(prefix: Path) -> None:
    data = Path(f"{prefix}.data-00000-of-00001")
    reader = BundleReader(prefix)
    data.write_bytes(data.read_bytes()[:-10])
    with pytest.raises(BundleError, match="has 499 bytes, but the index lists tensors up to its byte 509"):
        BundleReader(prefix)
    with pytest.raises(BundleError, match="ends before the end of its last tensor"):
        reader.read("step")


def test_a_variant_is_listed_but_left_to_tensorflow(tmp_path: Path) -> None:
    import tensorflow as tf

    handle = tf.raw_ops.EmptyTensorList(element_shape=[1], max_num_elements=2, element_dtype=tf.float32)
    save_with_tensorflow(tmp_path / "c", {"list": handle, "step": np.int64(9)})
    reader = BundleReader(tmp_path / "c")
    assert reader.entries["list"].dtype == "variant"
    assert reader.read("step") == 9
    for ask in (reader.read, reader.verify):
        with pytest.raises(BundleError, match="type variant; read it with TensorFlow"):
            ask("list")


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    """No byte of ours goes unread: the footer's padding and the empty block of metadata are checked."""
    words = np.array([b"ab", b""], object)
    prefix = write_bundle(tmp_path / "v", {"w": words, "x/y": np.arange(3, dtype="i2"), "z": np.float32(1)})
    unnoticed = []
    for suffix in (".index", ".data-00000-of-00001"):
        path = Path(f"{prefix}{suffix}")
        whole = path.read_bytes()
        for place in range(8 * len(whole)):
            flipped = bytearray(whole)
            flipped[place // 8] ^= 1 << place % 8
            path.write_bytes(flipped)
            try:
                BundleReader(prefix).verify_all()
            except BundleError:
                continue
            unnoticed.append((suffix, place))
        path.write_bytes(whole)
    BundleReader(prefix).verify_all()
    assert unnoticed == []
