"""The pipeline as a whole: what is there at the end, and that a failure in any phase leaves nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from autodist_saved.cut.cut import Cut
from autodist_saved.cut.none import NoCut
from autodist_saved.errors import AutodistSavedError, TargetExistsError, VerifyError
from autodist_saved.export import Export
from autodist_saved.options import ExportOptions
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.publish.local import LocalTarget
from autodist_saved.testing import ArraySource

PHASES = ["plan", "cut", "stage", "release", "stream", "discard", "describe", "verify", "commit"]


class RecordingCut(Cut):
    def __init__(self) -> None:
        self.calls: list[str] = []

    def acquire(self) -> tuple[str, ...]:
        self.calls.append("acquire")
        return ()

    def release(self) -> None:
        self.calls.append("release")


def source() -> ArraySource:
    return ArraySource({"w": np.arange(6.0).reshape(3, 2)}, parts=2, global_step=7)


def write_graph(files: SavedModelFiles) -> None:
    files.saved_model.write_bytes(b"graph")


def export(target: Path) -> Export:
    return Export("chief:0", LocalTarget(target), ExportOptions())


def test_an_export_walks_the_phases_in_order_and_reports_them(tmp_path: Path) -> None:
    one = export(tmp_path / "model")
    one.capture(source(), NoCut())
    one.copy_assets({})
    assert one.report.path is None, "nothing is visible before the commit"
    assert not (tmp_path / "model").exists()
    report = one.publish(write_graph)
    assert list(report.seconds) == PHASES
    assert report.path == str(tmp_path / "model")
    assert report.global_step == 7
    assert report.nbytes == 48
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert one.report == report


def test_the_writers_go_on_before_anything_is_streamed(tmp_path: Path) -> None:
    cut = RecordingCut()

    class Source(ArraySource):
        def stage(self):
            cut.calls.append("stage")
            return super().stage()

        def read(self, *arguments):
            cut.calls.append("read")
            return super().read(*arguments)

    export(tmp_path / "model").capture(Source({"w": np.zeros(2)}), cut)
    assert cut.calls == ["acquire", "stage", "release", "read"]


def test_copies_are_freed_when_the_export_is_captured(tmp_path: Path) -> None:
    held = source()
    export(tmp_path / "model").capture(held, NoCut())
    assert not held.holds_copies


def test_who_went_on_training_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one = export(tmp_path / "model")
    one.capture(source(), NoCut(lambda: ("worker:0",)))
    assert one.report.witness is not None
    assert not one.report.witness.consistent
    assert "worker:0 trained on" in caplog.text


@pytest.mark.parametrize("method", ["global_step", "stage", "read"])
def test_a_job_that_fails_leaves_nothing_and_lets_the_writers_go(tmp_path: Path, method: str) -> None:
    broken, cut = source(), RecordingCut()

    def fail(*_: object) -> None:
        raise OSError(5, "cable pulled")

    setattr(broken, method, fail)
    with pytest.raises(AutodistSavedError, match="cable pulled") as caught:
        export(tmp_path / "model").capture(broken, cut)
    assert caught.value.phase == ("stream" if method == "read" else "stage")
    assert cut.calls == ["acquire", "release"]
    assert not broken.holds_copies
    assert not list(tmp_path.iterdir())


def test_a_graph_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    one = export(tmp_path / "model")
    one.capture(source(), NoCut())

    def no_space(files: SavedModelFiles) -> None:
        raise OSError(28, "No space left on device", str(files.saved_model))

    with pytest.raises(AutodistSavedError, match="no space is left; free some"):
        one.publish(no_space)
    assert not list(tmp_path.iterdir())


def test_an_interrupted_export_leaves_nothing(tmp_path: Path) -> None:
    one = export(tmp_path / "model")
    one.capture(source(), NoCut())

    def interrupt(files: SavedModelFiles) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        one.publish(interrupt)
    assert not list(tmp_path.iterdir())


def test_a_damaged_byte_is_found_before_the_model_is_visible(tmp_path: Path) -> None:
    one = export(tmp_path / "model")
    one.capture(source(), NoCut())
    (data,) = tmp_path.glob(".model*/variables/*data*")
    damaged = bytearray(data.read_bytes())
    damaged[11] ^= 1
    data.write_bytes(damaged)
    with pytest.raises(VerifyError, match="variable 'w'"):
        one.publish(write_graph)
    assert not list(tmp_path.iterdir())


def test_a_target_that_is_taken_is_refused_before_the_job_is_touched(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine").touch()
    cut = RecordingCut()
    with pytest.raises(TargetExistsError, match="never overwritten"):
        export(tmp_path / "model").capture(source(), cut)
    assert cut.calls == []


def test_one_target_takes_one_of_two_exports(tmp_path: Path) -> None:
    first, second = export(tmp_path / "model"), export(tmp_path / "model")
    first.capture(source(), NoCut())
    second.capture(source(), NoCut())
    first.publish(write_graph)
    with pytest.raises(TargetExistsError, match="appeared while"):
        second.publish(write_graph)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
