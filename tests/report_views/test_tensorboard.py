"""The figures of exports, as TensorBoard reads them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from autodist_saved.publish.manifest import read_manifest
from tests.support.reports import REPORT, UNSTOPPED


@pytest.fixture(autouse=True)
def no_writer_stays_open() -> Iterator[None]:
    yield
    v1.summary.FileWriterCache.clear()


def events(logdir: Path) -> list[v1.Event]:
    """What is in the one file of the run of exports, but for the file's own version."""
    (path,) = (logdir / "export").iterdir()
    return [event for event in v1.train.summary_iterator(str(path)) if event.HasField("summary")]


def scalars(event: v1.Event) -> dict[str, float]:
    return {value.tag: value.simple_value for value in event.summary.value if value.HasField("simple_value")}


def test_the_figures_are_scalars_at_the_global_step(tmp_path: Path) -> None:
    ads.write_summary(REPORT, tmp_path)
    (event,) = events(tmp_path)
    assert event.step == 7
    assert scalars(event) == {
        "export/bytes": 8.0,
        "export/seconds": 1.5,
        "export/seconds/plan": 0.5,
        "export/seconds/cut": 0.125,
        "export/seconds/stage": 0.375,
        "export/seconds/release": 0.125,
        "export/seconds/stream": 0.25,
        "export/stall_seconds": 0.5,
        "export/bytes_per_second": 32.0,
        "export/memory_bytes/chief:0/resident": 2000.0,
        "export/memory_bytes/ps:0/resident": 3000.0,
        "export/memory_bytes/ps:0/staged": 8.0,
    }


def test_what_is_not_known_is_no_scalar(tmp_path: Path) -> None:
    ads.write_summary(UNSTOPPED, str(tmp_path))
    (event,) = events(tmp_path)
    assert "export/stall_seconds" not in [value.tag for value in event.summary.value]
    assert event.step == 0


def test_the_facts_are_a_table_for_the_text_plugin(tmp_path: Path) -> None:
    ads.write_summary(REPORT, tmp_path)
    (event,) = events(tmp_path)
    (text,) = (value for value in event.summary.value if value.HasField("tensor"))
    assert text.metadata.plugin_data.plugin_name == "text"
    table = [[cell.decode() for cell in row] for row in tf.make_ndarray(text.tensor)]
    assert [tuple(row) for row in table] == REPORT.facts()


def test_each_version_that_a_hook_publishes_is_one_point(graph: tf.Graph, tmp_path: Path) -> None:
    train = v1.train.get_or_create_global_step().assign_add(1)
    saver = ads.Saver()
    hook = ads.ChiefExportHook(
        tmp_path / "base", saver=saver, schedule=ads.ExportSchedule(every_steps=2), logdir=tmp_path / "logs"
    )
    with v1.train.MonitoredSession(hooks=[hook]) as session:
        while len(hook.published) < 2:
            session.run(train)
    told = events(tmp_path / "logs")
    assert [event.step for event in told] == [read_manifest(Path(one)).global_step for one in hook.published]
    assert all(scalars(event)["export/stall_seconds"] > 0 for event in told)


def test_a_summary_that_cannot_be_written_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    ads.write_summary(REPORT, tmp_path / "file")
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"cannot be written to {tmp_path}/file/export" in record.getMessage()
