"""Staged pieces become dense entries, whatever the partitioning and the chunk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from autodist_saved.bundle import BundleReader
from autodist_saved.errors import ExportError
from autodist_saved.options import ExportOptions
from autodist_saved.plan import LogicalVariable, make_plan
from autodist_saved.testing import ArraySource
from tests.support.plans import partitioned
from tests.support.streamed import stream


def read(prefix: str, name: str) -> np.ndarray:
    return tf.train.load_checkpoint(prefix).get_tensor(name)


@pytest.mark.parametrize("parts", [1, 2, 3])
@pytest.mark.parametrize("chunk_bytes", [1, 16, 10**6])
def test_tensorflow_reads_what_was_streamed(tmp_path: Path, parts: int, chunk_bytes: int) -> None:
    generator = np.random.default_rng(0)
    arrays = {
        "matrix": generator.normal(size=(7, 3)).astype(np.float32),
        "scalar": np.array(5, np.int64),
        "flags": np.array([True, False, True]),
        "words": np.array([b"a", b"", b"long " * 50], object),
        "no_rows": np.zeros((0, 4), np.float32),
    }
    source = ArraySource(arrays, parts=parts)
    prefix = str(tmp_path / "variables")
    streamed = stream(
        source.stage(source.plan()).plan,
        source,
        prefix,
        ExportOptions(chunk_bytes=chunk_bytes, memory_budget_bytes=2**20),
    )
    assert streamed.nbytes == sum(path.stat().st_size for path in tmp_path.glob("*.data-*"))
    is_sliced = {name: entry.is_sliced for name, entry in BundleReader(prefix).entries.items()}
    # TensorFlow's reader takes strings in slices one by one.
    assert is_sliced == {**dict.fromkeys(arrays, False), "words": parts > 1}
    for name, array in arrays.items():
        found = BundleReader(prefix).read(name) if is_sliced[name] else read(prefix, name)
        np.testing.assert_array_equal(found, array)


class _GridSource(ArraySource):
    """One variable in the pieces of a given plan."""

    def __init__(self, variable: LogicalVariable, array: np.ndarray) -> None:
        self._given = variable
        super().__init__({variable.name: array})

    def _make_plan(self):
        return make_plan([self._given])


@given(partitioned(), st.integers(1, 200))
def test_any_grid_of_pieces_comes_out_row_major(
    tmp_path_factory, variable: LogicalVariable, chunk_bytes: int
) -> None:
    assert variable.shape is not None
    array = np.arange(np.prod(variable.shape), dtype=np.float32).reshape(variable.shape)
    source = _GridSource(variable, array)
    prefix = str(tmp_path_factory.mktemp("bundle") / "variables")
    stream(
        source.stage(source.plan()).plan,
        source,
        prefix,
        ExportOptions(chunk_bytes=chunk_bytes, memory_budget_bytes=2**20),
    )
    np.testing.assert_array_equal(read(prefix, "v"), array)


@pytest.mark.parametrize("other", [np.zeros((3, 2), np.float32), np.zeros(3, np.float64)], ids=["shape", "dtype"])
def test_what_is_not_as_it_was_planned_is_refused(tmp_path: Path, other: np.ndarray) -> None:
    source = ArraySource({"a": np.zeros(3, np.float32)})
    plan = source.stage(source.plan()).plan
    source._staged = {0: other}
    with pytest.raises(
        ExportError, match=r"ps:0 holds float\d\d .* where float32 \[3\] was planned; check the slice"
    ):
        stream(plan, source, str(tmp_path / "variables"), ExportOptions(chunk_bytes=64, memory_budget_bytes=2**20))
    assert not list(tmp_path.iterdir())


def test_a_source_that_breaks_leaves_no_bundle(tmp_path: Path) -> None:
    source = ArraySource({"a": np.zeros(3), "b": np.zeros(3)})
    plan = source.stage(source.plan()).plan
    del source._staged[1]
    with pytest.raises(KeyError):
        stream(plan, source, str(tmp_path / "variables"), ExportOptions(chunk_bytes=64, memory_budget_bytes=2**20))
    assert not list(tmp_path.iterdir())
