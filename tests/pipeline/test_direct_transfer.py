"""Pieces go into their places in the data files, whatever the partitioning, from all tasks at once."""

from __future__ import annotations

import itertools
import logging
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from autodist_saved.bundle import BundleWriter, crc32c
from autodist_saved.errors import BundleError, TaskUnreachableError
from autodist_saved.pipeline import direct_transfer
from autodist_saved.pipeline.direct_transfer import TransferredVariables
from autodist_saved.plan import ExportPlan, LogicalVariable, Piece, make_plan
from autodist_saved.sources.transfer import Span, Transfer
from autodist_saved.system import progress as progress_module
from autodist_saved.system.progress import Progress
from tests.support.patience import PATIENCE_SECS
from tests.support.plans import partitioned

Array = np.ndarray[Any, Any]


class _ArrayTransfer(Transfer):
    """Transfers from arrays in this process, which it keeps as bytes by the index of their piece."""

    way = "stream"

    def __init__(self, staged: Mapping[int, bytes], *, spans_at_once: int = 2) -> None:
        self._staged = staged
        self._spans_at_once = spans_at_once
        self.calls: list[tuple[Path, bool]] = []

    def holds(self, piece: Piece) -> bool:
        return piece.index in self._staged

    def move(self, spans: Sequence[Span], path: Path, *, sync: bool) -> Iterator[list[int]]:
        self.calls.append((path, sync))
        return self._put(spans, path)

    def _put(self, spans: Sequence[Span], path: Path) -> Iterator[list[int]]:
        for at in range(0, len(spans), self._spans_at_once):
            yield [self._put_one(span, path) for span in spans[at : at + self._spans_at_once]]

    def _put_one(self, span: Span, path: Path) -> int:
        data = self._staged[span.piece.index][span.start : span.start + span.nbytes]
        file = os.open(path, os.O_WRONLY)
        try:
            os.pwrite(file, data, span.offset)
        finally:
            os.close(file)
        return crc32c.extend(0, data)


class _BreakingTransfer(_ArrayTransfer):
    """Its task dies after the first span, once the task of another transfer is under way."""

    def __init__(self, staged: Mapping[int, bytes], other: _SlowTransfer) -> None:
        super().__init__(staged, spans_at_once=1)
        self._other = other

    def _put(self, spans: Sequence[Span], path: Path) -> Iterator[list[int]]:
        yield next(super()._put(spans, path))
        assert self._other.under_way.wait(PATIENCE_SECS)
        raise TaskUnreachableError("ps:0 went away", task="ps:0")


class _SlowTransfer(_ArrayTransfer):
    """Takes 10 ms for each span."""

    def __init__(self, staged: Mapping[int, bytes]) -> None:
        super().__init__(staged, spans_at_once=1)
        self.under_way = threading.Event()
        self.put = 0

    def _put_one(self, span: Span, path: Path) -> int:
        self.under_way.set()
        threading.Event().wait(0.01)
        self.put += 1
        return super()._put_one(span, path)


class _Job:
    """Variables, each cut along its first dimension over some tasks, and a transfer for each task."""

    def __init__(self, arrays: Mapping[str, tuple[Array, Sequence[str]]]) -> None:
        self.arrays = {name: array for name, (array, _) in arrays.items()}
        self.staged: dict[str, dict[int, bytes]] = {}
        numbers = itertools.count()
        variables = []
        for name, (array, tasks) in arrays.items():
            pieces = [self._stage(next(numbers), array, part, tasks) for part in range(len(tasks))]
            dtype = "string" if array.dtype == object else array.dtype.name
            variables.append(LogicalVariable(name, dtype, array.shape, tuple(pieces)))
        self.plan = make_plan(variables)
        self.transfers: dict[str, _ArrayTransfer] = {task: _ArrayTransfer(of) for task, of in self.staged.items()}

    def _stage(self, index: int, array: Array, part: int, tasks: Sequence[str]) -> Piece:
        of_task = self.staged.setdefault(tasks[part], {})
        if not array.ndim:
            of_task[index] = array.tobytes()
            return Piece(index, tasks[part], (), ())
        first, last = (len(array) * edge // len(tasks) for edge in (part, part + 1))
        of_task[index] = array[first:last].tobytes()
        return Piece(index, tasks[part], (first, *[0] * (array.ndim - 1)), (last - first, *array.shape[1:]))

    def transferred(self) -> TransferredVariables:
        return TransferredVariables(self.plan, self.transfers)


def _transfer(transferred: TransferredVariables, plan: ExportPlan, prefix: Path, *, sync: bool = False) -> None:
    with (
        BundleWriter(prefix, transferred.data_files) as writer,
        Progress("streaming", plan.nbytes) as progress,
    ):
        transferred.transfer(writer, progress, sync=sync)


def _export(job: _Job, prefix: Path, *, sync: bool = False) -> TransferredVariables:
    transferred = job.transferred()
    _transfer(transferred, job.plan, prefix, sync=sync)
    return transferred


def _check(job: _Job, prefix: Path) -> None:
    reader = tf.train.load_checkpoint(str(prefix))
    assert sorted(reader.get_variable_to_shape_map()) == sorted(job.arrays)
    for name, array in job.arrays.items():
        read = reader.get_tensor(name)
        np.testing.assert_array_equal(read, array)
        assert (np.shape(read), np.asarray(read).dtype) == (array.shape, array.dtype)


def _numbers(*shape: int, dtype: str = "float32") -> Array:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(dtype) * 100


def _some_variables() -> _Job:
    return _Job(
        {
            "whole": (_numbers(5, 3), ["ps:1"]),
            "cut": (_numbers(11, 4), ["ps:0", "ps:1", "ps:2"]),
            "vector": (_numbers(9, dtype="int64"), ["ps:2", "ps:0"]),
            "scalar": (np.array(7, np.int64), ["ps:0"]),
            "no_rows": (np.zeros((0, 4), np.float32), ["ps:1"]),
            "no_columns": (np.zeros((4, 0), np.float32), ["ps:1", "ps:2"]),
            "fewer_rows_than_parts": (_numbers(2, 2), ["ps:0", "ps:1", "ps:2"]),
            "flags": (np.array([True, False, True]), ["ps:2"]),
        }
    )


@pytest.fixture(params=["one file", "several files"])
def layout(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many data files the variables of three tasks make."""
    if request.param == "one file":
        return 1
    monkeypatch.setattr(direct_transfer, "SEVERAL_FILES_FROM_BYTES", 1)
    return 3


@pytest.mark.parametrize("span_bytes", [8, 64, 2**25])
def test_tensorflow_reads_what_was_transferred(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: int, span_bytes: int
) -> None:
    monkeypatch.setattr(direct_transfer, "_SPAN_BYTES", span_bytes)
    job = _some_variables()
    transferred = _export(job, tmp_path / "v")
    assert transferred.data_files == layout
    assert all(variable in transferred for variable in job.plan.variables)
    _check(job, tmp_path / "v")
    assert len(list(tmp_path.iterdir())) == layout + 1


@given(partitioned(), st.integers(4, 60), st.integers(1, 5))
def test_any_partitions_of_the_first_dimension_come_out_row_major(
    tmp_path_factory: pytest.TempPathFactory, variable: LogicalVariable, span_bytes: int, spans_at_once: int
) -> None:
    assert variable.shape is not None
    array = np.arange(np.prod(variable.shape), dtype=np.float32).reshape(variable.shape)
    plan = make_plan([variable])
    windows = {
        piece: tuple(slice(at, at + extent) for at, extent in zip(piece.offset, piece.shape, strict=True))
        for piece in variable.pieces
    }
    transfers = {
        task: _ArrayTransfer(
            {piece.index: array[window].tobytes() for piece, window in windows.items() if piece.task == task},
            spans_at_once=spans_at_once,
        )
        for task in plan.tasks()
    }
    transferred = TransferredVariables(plan, transfers)
    assert (variable in transferred) == all(piece.shape[1:] == variable.shape[1:] for piece in variable.pieces)
    prefix = tmp_path_factory.mktemp("bundle") / "v"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(direct_transfer, "_SPAN_BYTES", span_bytes)
        _transfer(transferred, plan, prefix)
    reader = tf.train.load_checkpoint(str(prefix))
    if variable in transferred:
        np.testing.assert_array_equal(reader.get_tensor("v"), array)
    else:
        assert not reader.get_variable_to_shape_map()


def _columns() -> LogicalVariable:
    left, right = Piece(100, "ps:0", (0, 0), (4, 1)), Piece(101, "ps:0", (0, 1), (4, 2))
    return LogicalVariable("columns", "float32", (4, 3), (left, right))


def test_columns_strings_and_what_no_transfer_holds_are_left_to_others(tmp_path: Path) -> None:
    job = _Job(
        {
            "transferred": (_numbers(4, 3), ["ps:0", "ps:1"]),
            "words": (np.array([b"a", b"long " * 9], object), ["ps:0"]),
            "on_a_worker": (_numbers(3), ["worker:0"]),
            "partly_on_a_worker": (_numbers(4), ["ps:0", "worker:0"]),
            "not_held": (_numbers(3), ["ps:1"]),
        }
    )
    of_unknown_shape = LogicalVariable("table", "int64", None, (Piece(102, "ps:0", (), ()),))
    job.plan = make_plan([*job.plan.variables, _columns(), of_unknown_shape])
    job.staged["ps:0"] |= dict.fromkeys((100, 101, 102), bytes(32))
    (not_held,) = (variable for variable in job.plan.variables if variable.name == "not_held")
    del job.staged["ps:1"][not_held.pieces[0].index]
    del job.transfers["worker:0"]
    transferred = _export(job, tmp_path / "v")
    assert [variable.name for variable in job.plan.variables if variable in transferred] == ["transferred"]
    job.arrays = {"transferred": job.arrays["transferred"]}
    _check(job, tmp_path / "v")


def test_without_transfers_there_is_an_empty_bundle_of_one_file(tmp_path: Path) -> None:
    job = _some_variables()
    job.transfers = {}
    assert _export(job, tmp_path / "v").data_files == 1
    assert not tf.train.load_checkpoint(str(tmp_path / "v")).get_variable_to_shape_map()


def test_a_large_model_has_a_file_for_each_task_and_a_small_one_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    job = _some_variables()
    monkeypatch.setattr(direct_transfer, "SEVERAL_FILES_FROM_BYTES", job.plan.nbytes + 1)
    assert job.transferred().data_files == 1
    monkeypatch.setattr(direct_transfer, "SEVERAL_FILES_FROM_BYTES", job.plan.nbytes)
    assert job.transferred().data_files == 3


def test_a_variable_lies_as_a_whole_in_the_file_of_its_first_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct_transfer, "SEVERAL_FILES_FROM_BYTES", 1)
    job = _Job({"a": (_numbers(6, 2), ["ps:1", "ps:0"]), "b": (_numbers(10), ["ps:0"])})
    _export(job, tmp_path / "v")
    _check(job, tmp_path / "v")
    assert (tmp_path / "v.data-00000-of-00002").read_bytes() == job.arrays["b"].tobytes()
    assert (tmp_path / "v.data-00001-of-00002").read_bytes() == job.arrays["a"].tobytes()


@pytest.mark.parametrize("sync", [False, True])
def test_each_task_transfers_once_into_each_file_and_flushes_if_asked(
    tmp_path: Path, layout: int, sync: bool
) -> None:
    job = _some_variables()
    _export(job, tmp_path / "v", sync=sync)
    for transfer in job.transfers.values():
        assert {synced for _, synced in transfer.calls} == {sync}
        paths = [path for path, _ in transfer.calls]
        assert len(set(paths)) == len(paths) <= layout


def test_neighbours_in_a_pack_are_neighbours_in_the_file(tmp_path: Path) -> None:
    places = {"z": 0, "m": 4, "a": 8}
    variables = [
        LogicalVariable(name, "uint8", (4,), (Piece(index, "ps:0", (0,), (4,), pack=0, packed_at=at),))
        for index, (name, at) in enumerate(places.items())
    ]
    plan = make_plan(variables)
    transfers = {"ps:0": _ArrayTransfer({index: name.encode() * 4 for index, name in enumerate(places)})}
    _transfer(TransferredVariables(plan, transfers), plan, tmp_path / "v")
    assert (tmp_path / "v.data-00000-of-00001").read_bytes() == b"zzzzmmmmaaaa"


def test_a_variable_without_pieces_is_left_to_others(tmp_path: Path) -> None:
    job = _Job({"transferred": (_numbers(4, 3), ["ps:0", "ps:1"])})
    nothing = LogicalVariable("z", "float32", (0, 4), ())
    job.plan = ExportPlan((*job.plan.variables, nothing))
    transferred = _export(job, tmp_path / "v")
    assert nothing not in transferred
    assert job.plan.variables[0] in transferred
    _check(job, tmp_path / "v")


def test_a_task_that_breaks_stops_the_others_and_leaves_no_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = set(threading.enumerate())
    monkeypatch.setattr(direct_transfer, "_SPAN_BYTES", 8)
    job = _Job({"a": (_numbers(8), ["ps:0"]), "b": (_numbers(4000), ["ps:1"])})
    slow = job.transfers["ps:1"] = _SlowTransfer(job.staged["ps:1"])
    job.transfers["ps:0"] = _BreakingTransfer(job.staged["ps:0"], slow)
    with pytest.raises(TaskUnreachableError, match="ps:0 went away"):
        _export(job, tmp_path / "v")
    assert slow.put < 1000
    assert not list(tmp_path.iterdir())
    assert set(threading.enumerate()) <= before


def test_an_interrupt_stops_the_tasks_soon_and_leaves_no_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = set(threading.enumerate())
    monkeypatch.setattr(direct_transfer, "_SPAN_BYTES", 8)
    job = _Job({"a": (_numbers(4000), ["ps:0"])})
    slow = job.transfers["ps:0"] = _SlowTransfer(job.staged["ps:0"])

    def interrupted(*_: Any, **__: Any) -> None:
        assert slow.under_way.wait(PATIENCE_SECS)
        raise KeyboardInterrupt

    monkeypatch.setattr(direct_transfer, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _export(job, tmp_path / "v")
    assert 0 < slow.put < 1000
    assert not list(tmp_path.iterdir())
    assert set(threading.enumerate()) <= before


class _ForgetfulTransfer(_ArrayTransfer):
    """Tells less checksums than it was given spans."""

    def _put(self, spans: Sequence[Span], path: Path) -> Iterator[list[int]]:
        return super()._put(spans[:-1], path)


def test_what_a_transfer_leaves_out_is_found(tmp_path: Path) -> None:
    job = _Job({"a": (_numbers(8), ["ps:0"])})
    job.transfers["ps:0"] = _ForgetfulTransfer(job.staged["ps:0"])
    with pytest.raises(BundleError, match="'a' has 32 bytes, and not each of them was written"):
        _export(job, tmp_path / "v")
    assert not list(tmp_path.iterdir())


def test_every_byte_counts_as_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress_module, "EVERY_SECS", 0)
    caplog.set_level(logging.INFO)
    _export(_some_variables(), tmp_path / "v")
    assert caplog.records[-1].message.endswith(", 100 %")
