"""TensorFlow is the oracle: it reads what we write, and we read what it writes."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from autodist_saved.bundle import BundleReader, BundleWriter
from autodist_saved.bundle.dtypes import numpy_dtype
from autodist_saved.bundle.restorable import is_sliced_when_restored, why_unrestorable
from autodist_saved.bundle.slice_spec import Slice, slice_spec
from tests.support.bundles import save_with_tensorflow, write_bundle

Array = np.ndarray[Any, Any]

NUMPY_TYPES = [
    *["float16", "float32", "float64", "complex64", "complex128", "bool", "int8", "int16", "int32", "int64"],
    *["uint8", "uint16", "uint32", "uint64"],
]
ML_TYPES = [
    *["bfloat16", "float8_e5m2", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e4m3b11fnuz", "float8_e5m2fnuz"],
    *["int4", "uint4", "int2", "uint2", "float4_e2m1fn"],
]
QUANTIZED_TYPES = ["qint8", "quint8", "qint16", "quint16", "qint32"]


def _restore(prefix: Path, name: str, dtype: str, slice_spec: str = "") -> Any:
    (tensor,) = tf.raw_ops.RestoreV2(
        prefix=str(prefix),
        tensor_names=[name],
        shape_and_slices=[slice_spec],
        dtypes=[tf.dtypes.as_dtype(dtype)],
    )
    return tensor


def _facts(reader: BundleReader) -> list[tuple[str, str, tuple[int, ...], int]]:
    return [(entry.name, entry.dtype, entry.shape, entry.parts[0].crc32c) for entry in reader.entries.values()]


def _same(actual: Any, expected: Array) -> None:
    actual = np.array(actual, object) if expected.dtype == object else np.asarray(actual)
    assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
    assert actual.tobytes() == expected.tobytes() or (actual == expected).all()


def _is_known(dtype: str) -> bool:
    """Whether the TensorFlow that runs the tests has this type: 2.20 has no float4."""
    try:
        tf.dtypes.as_dtype(dtype)
    except TypeError:
        return False
    return True


@pytest.mark.parametrize("dtype", [*filter(_is_known, [*NUMPY_TYPES, *ML_TYPES])])
def test_every_type_goes_both_ways(tmp_path: Path, dtype: str) -> None:
    table = np.array([[0, 1], [1, 1], [1, 0]]).astype(numpy_dtype(dtype))
    ours = write_bundle(tmp_path / "ours", {"t": table, "empty": table[:0], "scalar": table[0, 1]})
    for name, expected in (("t", table), ("empty", table[:0]), ("scalar", table[0, 1])):
        _same(_restore(ours, name, dtype).numpy(), expected)
        _same(tf.train.load_checkpoint(str(ours)).get_tensor(name), expected)
    theirs = save_with_tensorflow(tmp_path / "theirs", {"t": table, "empty": table[:0], "scalar": table[0, 1]})
    assert Path(f"{theirs}.data-00000-of-00001").read_bytes() != b""
    reader = BundleReader(theirs)
    for name, expected in (("t", table), ("empty", table[:0]), ("scalar", table[0, 1])):
        assert reader.entries[name].dtype == dtype
        _same(reader.read(name), expected)
    reader.verify_all()


@pytest.mark.parametrize("dtype", [*filter(_is_known, [*NUMPY_TYPES, *ML_TYPES, *QUANTIZED_TYPES, "string"])])
def test_tensorflow_restores_slices_of_just_the_types_that_we_know(tmp_path: Path, dtype: str) -> None:
    table = np.array([[0, 1], [1, 1], [1, 0]]).astype(np.bytes_ if dtype == "string" else numpy_dtype(dtype))
    rows = [Slice((3, 2), (0, 0), (1, 2)), Slice((3, 2), (1, 0), (2, 2))]
    with BundleWriter(tmp_path / "c") as writer:
        for part in (Slice((3, 2), (0, 0), (3, 2)), *rows):
            name, block = "whole" if part.is_whole else "sliced", table[part.start[0] :][: part.shape[0]]
            if dtype == "string":
                writer.add_strings(name, part.shape, block.ravel().tolist(), of=part)
            else:
                writer.begin(name, dtype, part.shape, of=part).append(np.ascontiguousarray(block))
    reads = [(), rows, rows[:1], [Slice((3, 2), (0, 1), (3, 1))]]
    for (name, stored), read in itertools.product({"whole": (), "sliced": rows}.items(), reads):
        if why_unrestorable(dtype, stored, read):
            with pytest.raises(tf.errors.InvalidArgumentError, match="not supported"):
                _restore(tmp_path / "c", name, dtype, slice_spec(read[0]) if read else "")
        else:
            for spec in map(slice_spec, read) if read else [""]:
                assert _restore(tmp_path / "c", name, dtype, spec).dtype == tf.as_dtype(dtype)
    assert is_sliced_when_restored(dtype) is (why_unrestorable(dtype, rows, []) is None)


@pytest.mark.parametrize("dtype", QUANTIZED_TYPES)
def test_quantized_types_go_both_ways(tmp_path: Path, dtype: str) -> None:
    table = np.array([[1, 2], [3, 4]], numpy_dtype(dtype))
    with BundleWriter(tmp_path / "ours") as writer:
        entry = writer.begin("t", dtype, table.shape)
        entry.append(table)
    tensor = _restore(tmp_path / "ours", "t", dtype)
    save_with_tensorflow(tmp_path / "theirs", {"t": tensor})
    _same(BundleReader(tmp_path / "theirs").read("t"), table)


def test_strings_go_both_ways(tmp_path: Path) -> None:
    words = np.array([[b"", b"late"], [b"x" * 70_000, b"\0\xff"]], object)
    tensors = {"words": words, "none": words[:0], "word": np.array(b"w", object)}
    ours = write_bundle(tmp_path / "ours", tensors)
    theirs = save_with_tensorflow(tmp_path / "theirs", tensors)
    assert Path(f"{ours}.data-00000-of-00001").read_bytes() == Path(f"{theirs}.data-00000-of-00001").read_bytes()
    for name, expected in tensors.items():
        _same(_restore(ours, name, "string").numpy(), expected)
        _same(BundleReader(theirs).read(name), expected)
    BundleReader(theirs).verify_all(chunk_bytes=1000)


names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=300).filter(lambda name: name[0] != "\0")
arrays = npst.arrays(
    st.sampled_from(NUMPY_TYPES).map(np.dtype), npst.array_shapes(min_dims=0, min_side=0, max_side=4)
)
strings = npst.arrays(object, npst.array_shapes(min_dims=0, min_side=0, max_side=3), elements=st.binary(max_size=20))
bundles = st.dictionaries(names | st.from_regex(r"[a-z]{1,3}(/[a-z ]{1,9}){0,3}", fullmatch=True), arrays | strings)


@settings(max_examples=60)
@given(bundles)
def test_any_bundle_goes_both_ways(tensors: dict[str, Array]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        ours = write_bundle(Path(directory, "ours"), tensors)
        for name, expected in tensors.items():
            dtype = "string" if expected.dtype == object else expected.dtype.name
            _same(_restore(ours, name, dtype).numpy(), expected)
        if not tensors:
            return
        theirs = save_with_tensorflow(Path(directory, "theirs"), tensors)
        reader = BundleReader(theirs)
        assert _facts(reader) == _facts(BundleReader(ours))
        for name, expected in tensors.items():
            _same(reader.read(name), expected)


def _partitioned(graph: tf.Graph, axis: int, parts: int) -> dict[str, Any]:
    with graph.as_default():
        partitioner = tf.compat.v1.fixed_size_partitioner(parts, axis=axis)
        initializer = tf.compat.v1.random_normal_initializer(seed=1)
        table = tf.compat.v1.get_variable("emb", (7, 300), initializer=initializer, partitioner=partitioner)
        words = tf.compat.v1.get_variable("words", initializer=[b"a", b"bc"], dtype=tf.string, use_resource=False)
        step = tf.compat.v1.train.get_or_create_global_step()
    return {"emb": table, "words": words, "global_step": step}


@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize(("axis", "parts"), [(0, 1), (0, 3), (1, 4)])
def test_partitioned_variables_go_both_ways(tmp_path: Path, axis: int, parts: int, sharded: bool) -> None:
    graph = tf.Graph()
    variables = _partitioned(graph, axis, parts)
    with graph.as_default(), tf.compat.v1.Session() as session:
        session.run(tf.compat.v1.global_variables_initializer())
        saver = tf.compat.v1.train.Saver(sharded=sharded)
        reader = BundleReader(saver.save(session, str(tmp_path / "theirs"), write_meta_graph=False))
        expected = {name: session.run(tf.convert_to_tensor(value)) for name, value in variables.items()}
        assert reader.entries["emb"].is_sliced is (parts > 1)
        assert len(reader.entries["emb"].parts) == parts
        for name, value in expected.items():
            _same(reader.read(name), np.asarray(value))
        for start, stop in ((0, 7), (2, 5), (3, 3), (6, 7)):
            _same(reader.read_rows("emb", start, stop), expected["emb"][start:stop])
        reader.verify_all()

        whole = {name: reader.read(name) for name in reader.entries}
        ours = write_bundle(tmp_path / "ours", {**whole, "emb": whole["emb"] + 1})
        saver.restore(session, str(ours))
        _same(session.run(tf.convert_to_tensor(variables["emb"])), expected["emb"] + 1)


def test_slices_of_strings_and_of_a_grid_are_put_together(tmp_path: Path) -> None:
    words = np.array([[f"{row}{column}".encode() for column in range(4)] for row in range(3)], object)
    graph = tf.Graph()
    corners = [(0, 2, 0, 1), (0, 2, 1, 3), (2, 1, 0, 3), (2, 1, 3, 1)]
    with graph.as_default(), tf.compat.v1.Session() as session:
        save = tf.raw_ops.SaveV2(
            prefix=str(tmp_path / "c"),
            tensor_names=["w"] * 4,
            shape_and_slices=[f"3 4 {row},{rows}:{column},{columns}" for row, rows, column, columns in corners],
            tensors=[words[r : r + rs, c : c + cs] for r, rs, c, cs in corners],
        )
        session.run(save)
    reader = BundleReader(tmp_path / "c")
    _same(reader.read("w"), words)
    _same(reader.read_rows("w", 1, 3), words[1:3])
    reader.verify_all()


def test_bundles_of_several_data_files_are_read(tmp_path: Path) -> None:
    parts = [save_with_tensorflow(tmp_path / f"part{n}", {f"t{n}": np.arange(n + 1)}) for n in range(3)]
    tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=list(map(str, parts)), destination_prefix=str(tmp_path / "merged")
    )
    reader = BundleReader(tmp_path / "merged")
    assert {part.data_file for entry in reader.entries.values() for part in entry.parts} == {0, 1, 2}
    for n in range(3):
        _same(reader.read(f"t{n}"), np.arange(n + 1))
    reader.verify_all()


def test_object_based_checkpoints_are_read(tmp_path: Path) -> None:
    table = tf.Variable(np.arange(6, dtype="f4").reshape(2, 3))
    path = tf.train.Checkpoint(table=table, half=tf.Variable(tf.ones([2], tf.bfloat16))).save(tmp_path / "c")
    reader = BundleReader(path)
    _same(reader.read("table/.ATTRIBUTES/VARIABLE_VALUE"), table.numpy())
    assert reader.read("half/.ATTRIBUTES/VARIABLE_VALUE").dtype == ml_dtypes.bfloat16
    assert b"VARIABLE_VALUE" in reader.read("_CHECKPOINTABLE_OBJECT_GRAPH").item()
    reader.verify_all()


def test_a_bundle_of_many_long_names_is_read_by_tensorflow(tmp_path: Path) -> None:
    tensors = {f"{number} " * 100 + "ü": np.array([number], "i4") for number in range(3000)}
    ours = write_bundle(tmp_path / "v", tensors)
    assert Path(f"{ours}.index").stat().st_size > 2 * 256 * 1024
    loaded = tf.train.load_checkpoint(str(ours))
    assert loaded.get_variable_to_shape_map().keys() == tensors.keys()
    for name in list(tensors)[::100]:
        _same(loaded.get_tensor(name), tensors[name])
