from __future__ import annotations

import resource
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import tensor_bundle_pb2

from autodist_saved.bundle import BundleReader, BundleWriter, EntryWriter, crc32c
from autodist_saved.bundle.slice_spec import Slice
from autodist_saved.bundle.table import read_table
from autodist_saved.errors import BundleError, TargetUnwritableError
from tests.support.bundles import write_bundle


def _names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_pieces_of_any_size_and_kind_make_one_tensor(tmp_path: Path) -> None:
    table = np.arange(24, dtype=np.float32).reshape(4, 6)
    with BundleWriter(tmp_path / "v") as writer:
        entry = writer.begin("emb", "float32", (4, 6))
        entry.append(table[:1])
        entry.append(table[1].tobytes())
        entry.append(b"")
        entry.append(memoryview(table[2]))
        entry.append(bytearray(table[3].tobytes())[:5])
        entry.append(table[3].tobytes()[5:])
    np.testing.assert_array_equal(BundleReader(tmp_path / "v").read("emb"), table)
    np.testing.assert_array_equal(tf.train.load_checkpoint(str(tmp_path / "v")).get_tensor("emb"), table)


def test_it_appears_as_a_whole_at_the_end_and_nothing_else_stays(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "v") as writer:
        writer.add_strings("s", (1,), [b"x"])
        assert not (tmp_path / "v.index").exists()
        assert not (tmp_path / "v.data-00000-of-00001").exists()
    assert _names(tmp_path) == ["v.data-00000-of-00001", "v.index"]


def test_an_exception_leaves_nothing_and_the_bundle_before_as_it_was(tmp_path: Path) -> None:
    write_bundle(tmp_path / "v", {"old": np.float32(1)})

    def write_and_interrupt() -> None:
        with BundleWriter(tmp_path / "v") as writer:
            writer.begin("new", "float32", (1000,)).append(bytes(100))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_interrupt()
    assert _names(tmp_path) == ["v.data-00000-of-00001", "v.index"]
    assert BundleReader(tmp_path / "v").read("old") == 1


def test_a_bundle_under_the_same_prefix_is_replaced(tmp_path: Path) -> None:
    write_bundle(tmp_path / "v", {"old": np.float32(1)})
    write_bundle(tmp_path / "v", {"new": np.float32(2)})
    assert list(BundleReader(tmp_path / "v").entries) == ["new"]


def test_a_bundle_of_nothing_is_a_bundle(tmp_path: Path) -> None:
    write_bundle(tmp_path / "v", {})
    assert not BundleReader(tmp_path / "v").entries
    ((_, value),) = read_table((tmp_path / "v.index").read_bytes())
    assert tensor_bundle_pb2.BundleHeaderProto.FromString(value).version.producer == 1
    assert not tf.train.load_checkpoint(str(tmp_path / "v")).get_variable_to_shape_map()


def test_tensors_may_be_in_several_data_files_and_be_written_at_once(tmp_path: Path) -> None:
    values = {name: np.arange(1000, dtype=np.int64) * factor for factor, name in enumerate("abc")}
    with BundleWriter(tmp_path / "v", data_files=3) as writer:
        entries = {name: writer.begin(name, "int64", (1000,), number % 2) for number, name in enumerate(values)}
        for start in range(0, 1000, 250):
            for name, entry in entries.items():
                entry.append(values[name][start : start + 250])
    assert _names(tmp_path) == [*(f"v.data-0000{number}-of-00003" for number in range(3)), "v.index"]
    for name, value in values.items():
        np.testing.assert_array_equal(BundleReader(tmp_path / "v").read(name), value)
        np.testing.assert_array_equal(tf.train.load_checkpoint(str(tmp_path / "v")).get_tensor(name), value)


def test_ranges_that_others_write_into_the_data_file_come_in_any_order(tmp_path: Path) -> None:
    data = np.random.default_rng(0).bytes(60)
    with BundleWriter(tmp_path / "v") as writer:
        writer.begin("before", "int8", (3,)).append(b"123")
        entry = writer.begin("a", "uint8", (60,))
        for start, stop in [(50, 60), (0, 20), (20, 50)]:
            with entry.path.open("r+b") as file:
                file.seek(entry.offset + start)
                file.write(data[start:stop])
            entry.written(start, stop - start, crc32c.extend(0, data[start:stop]))
    assert BundleReader(tmp_path / "v").read("a").tobytes() == data
    assert tf.train.load_checkpoint(str(tmp_path / "v")).get_tensor("a").tobytes() == data


def test_slices_are_written_as_tensorflow_writes_them(tmp_path: Path) -> None:
    half = np.arange(12, dtype=np.float16).reshape(4, 3)
    words = np.array([[b"a", b""], [b"long " * 50, b"c"]], object)
    slices = [(0, 3, 0, 2), (0, 3, 2, 1), (3, 1, 0, 3)]
    with BundleWriter(tmp_path / "ours") as writer:
        for row, rows, column, columns in slices:
            part = Slice((4, 3), (row, column), (rows, columns))
            writer.begin("half", "float16", part.shape, of=part).append(
                np.ascontiguousarray(half[row : row + rows, column : column + columns])
            )
        for row in (0, 1):
            writer.add_strings("words", (1, 2), words[row].tolist(), of=Slice((2, 2), (row, 0), (1, 2)))
    specs = [f"4 3 {row},{rows}:{column},{columns}" for row, rows, column, columns in slices]
    parts = [half[row : row + rows, column : column + columns] for row, rows, column, columns in slices]
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "theirs"),
        tensor_names=["half"] * 3 + ["words"] * 2,
        shape_and_slices=[*specs, "2 2 0,1:0,2", "2 2 1,1:0,2"],
        tensors=[*parts, words[:1], words[1:]],
    )
    ours, theirs = (
        (dict(read_table(Path(f"{prefix}.index").read_bytes())), Path(f"{prefix}.data-00000-of-00001").read_bytes())
        for prefix in (tmp_path / "ours", tmp_path / "theirs")
    )
    assert ours == theirs
    reader = BundleReader(tmp_path / "ours")
    reader.verify_all()
    np.testing.assert_array_equal(reader.read("half"), half)
    np.testing.assert_array_equal(reader.read("words"), words)


def test_a_slice_that_is_the_whole_is_dense(tmp_path: Path) -> None:
    whole = Slice((2,), (0,), (2,))
    with BundleWriter(tmp_path / "v") as writer:
        writer.begin("half", "float16", (2,), of=whole).append(np.ones(2, np.float16))
    assert BundleReader(tmp_path / "v").entries["half"].slices == ()
    np.testing.assert_array_equal(tf.train.load_checkpoint(str(tmp_path / "v")).get_tensor("half"), [1, 1])


def test_memory_does_not_grow_with_the_tensor(tmp_path: Path) -> None:
    chunk = np.ones(2**20, np.uint8)
    tracemalloc.start()
    try:
        with BundleWriter(tmp_path / "v") as writer:
            entry = writer.begin("emb", "uint8", (64, 2**20))
            for _ in range(64):
                entry.append(chunk)
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


Mistake = Callable[[BundleWriter], Any]


def _begun(writer: BundleWriter) -> EntryWriter:
    return writer.begin("a", "int16", (3,))


def _begun_slices(writer: BundleWriter, *slices: tuple[int, int], dtype: str = "int8") -> None:
    for start, stop in slices:
        part = Slice((4,), (start,), (stop - start,))
        writer.begin("a", "int8" if start == 0 else dtype, part.shape, of=part).append(bytes(stop - start))


def _begun_parts(writer: BundleWriter, parts: list[tuple[int, int]]) -> None:
    entry = _begun(writer)
    for at, nbytes in parts:
        entry.written(at, nbytes, 0)


MISTAKES: dict[str, tuple[Mistake, str]] = {
    "too few bytes": (lambda w: _begun(w).append(b"1234"), "has 6 bytes, and not each .* the first 4 were"),
    "a gap": (lambda w: _begun_parts(w, [(0, 2), (4, 2)]), "the first 2 were"),
    "a byte twice": (lambda w: _begun_parts(w, [(0, 4), (2, 4)]), "the first 4 were"),
    "all of it twice": (lambda w: _begun_parts(w, [(0, 6), (0, 6)]), "the first 6 were"),
    "too many bytes": (lambda w: _begun(w).append(b"1234567"), "has 6 bytes, and 7 were appended"),
    "never written": (_begun, "the first 0 were"),
    "no such data file": (lambda w: w.begin("a", "int8", (), 1), "data file 1 of 1; count them from 0"),
    "name twice": (lambda w: [w.add_strings("a", (), [b""]) for _ in "12"], "'a' is in the bundle already"),
    "a slice twice": (lambda w: _begun_slices(w, (0, 2), (0, 2)), "overlap at .*; write each element"),
    "a slice that is missing": (lambda w: _begun_slices(w, (0, 2)), "do not add up to its shape"),
    "slices of two types": (lambda w: _begun_slices(w, (0, 2), (2, 4), dtype="uint8"), "in the bundle already"),
    "the whole beside a slice": (lambda w: _begun_slices(w, (0, 2), (0, 4)), "in the bundle already"),
    "a slice beside the whole": (lambda w: _begun_slices(w, (0, 4), (2, 4)), "in the bundle already"),
    "no name": (lambda w: w.begin("", "int8", ()), "is empty or begins with NUL"),
    "name of a slice": (lambda w: w.begin("\0a", "int8", ()), "is empty or begins with NUL"),
    "half of a surrogate pair": (lambda w: w.begin("\ud800", "int8", ()), "half of a surrogate pair"),
    "unknown type": (lambda w: w.begin("a", "float128", ()), "dtype float128"),
    "strings as elements": (lambda w: w.begin("a", "string", ()), "pass strings to add_strings"),
    "negative dimension": (lambda w: w.begin("a", "int8", (2, -1)), r"shape \[2, -1\]"),
    "too many dimensions": (lambda w: w.begin("a", "int8", (1,) * 65), "which no tensor can have"),
    "strings missing": (lambda w: w.add_strings("a", (2, 2), [b"x"]), "takes 4 strings, not 1"),
    "array with gaps": (lambda w: _begun(w).append(np.ones((3, 2), "i2")[:, 0]), "ascontiguousarray"),
    "array of objects": (lambda w: _begun(w).append(np.array([b"x"], object)), "native numeric"),
    "array of the other byte order": (lambda w: _begun(w).append(np.ones(3, ">i2")), "native numeric"),
    "buffer with gaps": (lambda w: _begun(w).append(memoryview(b"123456789")[::2]), "buffer with gaps"),
}


@pytest.mark.parametrize(("mistake", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_and_nothing_is_written(tmp_path: Path, mistake: Mistake, message: str) -> None:
    with pytest.raises(BundleError, match=message), BundleWriter(tmp_path / "v") as writer:
        mistake(writer)
    assert not _names(tmp_path)


def test_writing_belongs_into_the_with_block(tmp_path: Path) -> None:
    writer = BundleWriter(tmp_path / "v")
    with pytest.raises(BundleError, match="inside the 'with' block"):
        writer.begin("a", "int8", ())
    with writer:
        pass
    with pytest.raises(BundleError, match="inside the 'with' block"):
        writer.add_strings("a", (), [b""])


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(TargetUnwritableError, match=r"missing/v\.data.*No such file"):
        write_bundle(tmp_path / "missing" / "v", {})


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    # A limit on the size of files stands in for the disk: the kernel refuses the write in the same place.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**21, hard))
    try:
        with pytest.raises(TargetUnwritableError, match=r"v\.data-00000-of-00001.*File too large"):
            write_bundle(tmp_path / "v", {"emb": np.ones(2**20)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not _names(tmp_path)
