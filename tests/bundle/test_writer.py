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

from autodist_saved.bundle import BundleReader, BundleWriter, EntryWriter
from autodist_saved.bundle.table import read_table
from autodist_saved.errors import BundleError, TargetUnwritableError

from .bundles import write_bundle


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
        entry.finish()
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


def test_one_of_several_data_files_is_named_and_listed_as_such(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "v", data_file=1, data_files=3) as writer:
        writer.add_strings("s", (), [b"x"])
    assert (tmp_path / "v.data-00001-of-00003").exists()
    assert BundleReader(tmp_path / "v").read("s").item() == b"x"
    assert tf.train.load_checkpoint(str(tmp_path / "v")).get_tensor("s") == b"x"


def test_memory_does_not_grow_with_the_tensor(tmp_path: Path) -> None:
    chunk = np.ones(2**20, np.uint8)
    tracemalloc.start()
    try:
        with BundleWriter(tmp_path / "v") as writer:
            entry = writer.begin("emb", "uint8", (64, 2**20))
            for _ in range(64):
                entry.append(chunk)
            entry.finish()
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


Mistake = Callable[[BundleWriter], Any]


def _begun(writer: BundleWriter) -> EntryWriter:
    return writer.begin("a", "int16", (3,))


MISTAKES: dict[str, tuple[Mistake, str]] = {
    "too few bytes": (
        lambda w: (_begun(w).append(b"1234"), w._open_entry.finish()),
        "has 6 bytes, and only 4",
    ),
    "too many bytes": (lambda w: _begun(w).append(b"1234567"), "has 6 bytes, and 7 were appended"),
    "never finished": (_begun, "'a' is not finished"),
    "next before finish": (lambda w: (_begun(w), w.begin("b", "int8", ())), "before 'a' is finished"),
    "name twice": (lambda w: [w.add_strings("a", (), [b""]) for _ in "12"], "'a' is in the bundle already"),
    "no name": (lambda w: w.begin("", "int8", ()), "is empty or begins with NUL"),
    "name of a slice": (lambda w: w.begin("\0a", "int8", ()), "is empty or begins with NUL"),
    "half a character": (lambda w: w.begin("\ud800", "int8", ()), "half a character"),
    "unknown type": (lambda w: w.begin("a", "float128", ()), "dtype float128"),
    "strings as elements": (lambda w: w.begin("a", "string", ()), "give strings to add_strings"),
    "negative dimension": (lambda w: w.begin("a", "int8", (2, -1)), r"shape \[2, -1\]"),
    "too many dimensions": (lambda w: w.begin("a", "int8", (1,) * 65), "which no tensor can have"),
    "strings missing": (lambda w: w.add_strings("a", (2, 2), [b"x"]), "so 4 strings, not 1"),
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


def test_data_files_count_from_zero(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no data file 2 among 2"):
        BundleWriter(tmp_path / "v", data_file=2, data_files=2)


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(TargetUnwritableError, match=r"missing/v\.data.*No such file"):
        write_bundle(tmp_path / "missing" / "v", {})


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    # A limit on the size of files stands in for the disk: the kernel refuses the write in the same place.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**21, hard))
    try:
        with pytest.raises(TargetUnwritableError, match=r"v\.data-00000-of-00001: .*File too large"):
            write_bundle(tmp_path / "v", {"emb": np.ones(2**20)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not _names(tmp_path)
