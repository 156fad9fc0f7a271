"""The pipeline as a whole: what is there at the end, and that a failure in any phase leaves nothing."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from autodist_saved.cut.cut import NoCut
from autodist_saved.errors import (
    AutodistSavedError,
    InconsistentError,
    SignatureError,
    TargetExistsError,
    TargetUnwritableError,
    UsageError,
    VerifyError,
)
from autodist_saved.options import ExportOptions
from autodist_saved.pipeline.export import Export
from autodist_saved.publish.disk.target import LocalTarget
from autodist_saved.publish.manifest import read_manifest
from autodist_saved.report.report import Destination
from autodist_saved.report.witness import Witness
from autodist_saved.testing import ArraySource, RecordingCut
from tests.support.jobs.paused import PHASES
from tests.support.meta_graphs import description


def source() -> ArraySource:
    return ArraySource({"w": np.arange(6.0).reshape(3, 2)}, parts=2, global_step=7)


def export(target: Path) -> Export:
    return Export("chief:0", LocalTarget(target), ExportOptions())


def test_an_export_walks_the_phases_in_order_and_reports_them(tmp_path: Path) -> None:
    one = export(tmp_path / "model")
    one.capture(description(), source(), NoCut())
    assert one.report.path is None, "nothing is visible before the commit"
    assert not (tmp_path / "model").exists()
    assert one.publish() == str(tmp_path / "model" / "saved_model.pb")
    report = one.report
    assert list(report.seconds) == PHASES
    assert report.path == str(tmp_path / "model")
    assert report.global_step == 7
    assert report.verified == "checksums"
    assert report.nbytes == 48
    assert report.staging == {"ps:0": "memory", "ps:1": "memory"}
    assert report.target == Destination("LocalTarget", str(tmp_path / "model"))
    assert report.memory["chief:0"].resident > 2**20
    assert report.started is not None
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_who_does_not_verify_is_told_so(tmp_path: Path) -> None:
    one = Export("chief:0", LocalTarget(tmp_path / "model"), ExportOptions(verify="none"))
    one.capture(description(), source(), NoCut())
    assert "verified" not in dict(one.report.facts())
    one.publish()
    assert dict(read_manifest(tmp_path / "model").facts())["verified"] == "no"
    assert "verify" not in one.report.seconds


def test_the_log_has_a_line_of_each_export_and_all_facts_for_who_wants_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "autodist_saved.pipeline.export")
    one = export(tmp_path / "model")
    one.capture(description(), source(), NoCut())
    one.publish()
    told, facts = [record for record in caplog.records if record.name == "autodist_saved.pipeline.export"][-2:]
    assert (told.levelno, told.getMessage()) == (logging.INFO, str(one.report))
    assert facts.levelno == logging.DEBUG
    assert "global step: 7\n" in facts.getMessage()


@pytest.mark.parametrize("parked", [False, True])
def test_the_writers_go_on_before_streaming_unless_nothing_was_copied(tmp_path: Path, parked: bool) -> None:
    cut = RecordingCut()

    def called(name: str) -> Any:
        def call(self, *arguments):
            cut.calls.append(name)
            return getattr(super(Source, self), name)(*arguments)

        return call

    class Source(ArraySource):
        connect, stage, global_step, read, discard = map(
            called, ("connect", "stage", "global_step", "read", "discard")
        )

    held = Source({"w": np.zeros(2)}, global_step=3, parked=parked)
    one = export(tmp_path / "model")
    one.capture(description(), held, cut)
    stage, stream = ["acquire", "global_step", "stage"], ["read"]
    expected = (
        [*stage, "extend", *stream, "discard", "global_step", "release"]
        if parked
        else [*stage, "global_step", "release", *stream]
    )
    assert cut.calls == ["connect", *expected, "discard"]
    assert one.report.staging == {"ps:0": "parked" if parked else "memory"}


def test_copies_are_freed_when_the_export_is_captured(tmp_path: Path) -> None:
    held = source()
    export(tmp_path / "model").capture(description(), held, NoCut())
    assert not held.holds_copies


@pytest.mark.parametrize("parked", [False, True])
@pytest.mark.parametrize(
    ("method", "phase"),
    [
        ("connect", "connect"),
        ("global_step", "stage"),
        ("stage", "stage"),
        ("transfers", "stream"),
        ("read", "stream"),
    ],
)
def test_a_job_that_fails_leaves_nothing_and_lets_the_writers_go(
    tmp_path: Path, method: str, phase: str, parked: bool
) -> None:
    broken, cut = ArraySource({"w": np.arange(6.0)}, global_step=7, parked=parked), RecordingCut()

    def fail(*_: object) -> None:
        raise OSError(5, "cable pulled")

    setattr(broken, method, fail)
    with pytest.raises(AutodistSavedError, match="cable pulled") as caught:
        export(tmp_path / "model").capture(description(), broken, cut)
    assert caught.value.phase == phase
    assert [call for call in cut.calls if call != "extend"] == ([] if method == "connect" else ["acquire", "release"])
    assert not broken.holds_copies
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [OSError(28, "No space left on device", "/full"), KeyboardInterrupt()])
def test_a_commit_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    one = export(tmp_path / "model")
    one.capture(description(), source(), NoCut())

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(LocalTarget, "commit", fail)
    with pytest.raises((TargetUnwritableError, KeyboardInterrupt)):
        one.publish()
    assert not list(tmp_path.iterdir())
    with pytest.raises(UsageError, match="this export has failed, and what was staged is removed; make another"):
        one.publish()


def test_the_first_failure_is_told_and_not_that_of_clearing_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Gone(ArraySource):
        def read(self, *_: object) -> Any:
            raise OSError(5, "cable pulled")

        def discard(self) -> None:
            raise OSError(5, "cable still pulled")

    with pytest.raises(AutodistSavedError, match=r"\(cable pulled\)"):
        export(tmp_path / "model").capture(description(), Gone({"w": np.zeros(2)}), NoCut())
    assert "the staged copies could not be freed: [Errno 5] cable still pulled" in caplog.text


def test_a_request_that_does_not_fit_is_refused_before_the_job_is_touched(tmp_path: Path) -> None:
    cut = RecordingCut()
    with pytest.raises(SignatureError, match="tags: 'serve' is not a list of tags"):
        export(tmp_path / "model").capture(description(tags="serve"), source(), cut)
    assert cut.calls == []
    assert not list(tmp_path.iterdir())


def test_a_missing_asset_is_refused_before_the_job_is_touched(tmp_path: Path) -> None:
    with tf.Graph().as_default():
        assets = [tf.constant("/no/such/file"), tf.constant(3)]
    cut = RecordingCut()
    with pytest.raises(SignatureError) as caught:
        export(tmp_path / "model").capture(description(assets_collection=assets), source(), cut)
    assert "assets_collection[0]: there is no file '/no/such/file'" in str(caught.value)
    assert "assets_collection[1]: Asset path tensor" in str(caught.value)
    assert cut.calls == []


@pytest.mark.parametrize(
    ("training", "steps", "said"),
    [
        (("worker:0",), (7, 7), "worker:0 trained while"),
        (None, (7, 7), "it is not known which tasks trained"),
        ((), (7, 9), "the global step went from 7 to 9"),
    ],
)
def test_an_export_is_refused_or_warns_where_somebody_trained_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, training: Any, steps: tuple[int, int], said: str
) -> None:
    def moving() -> ArraySource:
        moving = source()
        remaining = iter(steps)
        moving.global_step = lambda: next(remaining)
        return moving

    with pytest.raises(InconsistentError, match=said):
        export(tmp_path / "model").capture(description(), moving(), NoCut(lambda: training))
    assert not list(tmp_path.iterdir())
    one = Export("chief:0", LocalTarget(tmp_path / "model"), ExportOptions(consistency="none"))
    one.capture(description(), moving(), NoCut(lambda: training))
    assert one.report.witness == Witness(training, global_step_before=steps[0], global_step_after=steps[1])
    assert said in caplog.text


def test_the_witness_has_what_the_cut_has_seen(tmp_path: Path) -> None:
    one = export(tmp_path / "model")
    one.capture(description(), source(), RecordingCut())
    assert one.report.witness == Witness((), 3, {"worker:0": 8}, 1, (), 7, 7)


def test_nothing_is_read_back_where_the_disk_is_trusted(tmp_path: Path) -> None:
    one = Export("chief:0", LocalTarget(tmp_path / "model"), ExportOptions(verify="none"))
    one.capture(description(), source(), NoCut())
    (data,) = tmp_path.glob(".model*/variables/*data*")
    data.write_bytes(b"damaged")
    one.publish()
    assert (tmp_path / "model" / "variables" / data.name).read_bytes() == b"damaged"


def test_a_damaged_byte_is_found_before_the_model_is_visible(tmp_path: Path) -> None:
    one = export(tmp_path / "model")
    one.capture(description(), source(), NoCut())
    (data,) = tmp_path.glob(".model*/variables/*data*")
    damaged = bytearray(data.read_bytes())
    damaged[11] ^= 1
    data.write_bytes(damaged)
    with pytest.raises(VerifyError, match="variable 'w'"):
        one.publish()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["another", "", None])
@pytest.mark.parametrize("name", ["assets/words.txt", "assets.extra/copied.txt", "assets.extra/written.txt"])
def test_a_damaged_file_beside_the_graph_is_found_before_the_model_is_visible(
    tmp_path: Path, name: str, damage: str | None
) -> None:
    words = tmp_path / "words.txt"
    words.write_text("a word")
    with tf.Graph().as_default():
        asset = tf.constant(str(words))
    one = export(tmp_path / "models" / "model")
    extra = {"copied.txt": words, "written.txt": b"a word"}
    one.capture(description(asset.graph, assets_collection=[asset], assets_extra=extra), source(), NoCut())
    (place,) = tmp_path.glob(f"models/.model*/{name}")
    place.unlink() if damage is None else place.write_text(damage)
    with pytest.raises(VerifyError, match=name):
        one.publish()
    assert not list((tmp_path / "models").iterdir())


def test_a_target_that_is_taken_is_refused_before_the_job_is_touched(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine").touch()
    cut = RecordingCut()
    with pytest.raises(TargetExistsError, match="never overwritten"):
        export(tmp_path / "model").capture(description(), source(), cut)
    assert cut.calls == []


def test_one_target_takes_one_of_two_exports(tmp_path: Path) -> None:
    first, second = export(tmp_path / "model"), export(tmp_path / "model")
    first.capture(description(), source(), NoCut())
    second.capture(description(), source(), NoCut())
    first.publish()
    with pytest.raises(TargetExistsError, match="appeared during"):
        second.publish()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
