"""Writes reports of exports for TensorBoard."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.report.report import ExportReport

# TensorBoard follows only the newest file of a directory, so exports have their own directory beside the training's.
RUN = "export"

log = logging.getLogger(__name__)


def write_summary(report: ExportReport, logdir: str | os.PathLike[str]) -> None:
    """Write the numbers of an export as scalars, and its facts as a table of text, for its global step (or 0).

    They appear as the run ``export``. If they cannot be written, a warning is logged: the model is published anyway.

    Args:
        report: of the export.
        logdir: TensorBoard's directory.
    """
    place = os.path.join(os.fspath(logdir), RUN)  # noqa: PTH118 - TensorFlow supports more file systems than pathlib
    values = [v1.Summary.Value(tag=f"export/{name}", simple_value=value) for name, value in _scalars(report)]
    text = v1.SummaryMetadata(plugin_data=v1.SummaryMetadata.PluginData(plugin_name="text"))
    facts = tf.make_tensor_proto(report.facts())
    values.append(v1.Summary.Value(tag="export/report", metadata=text, tensor=facts))
    try:
        with tf.Graph().as_default():  # the writer raises an error in eager mode
            writer = v1.summary.FileWriterCache.get(place)
        writer.add_summary(v1.Summary(value=values), report.global_step)
        writer.flush()
    except (tf.errors.OpError, OSError) as error:
        log.warning("the summary of an export cannot be written to %s and is left out: %s", place, error)


def _scalars(report: ExportReport) -> Iterator[tuple[str, float]]:
    """The numbers of the report that are known."""
    yield "bytes", report.nbytes
    yield "seconds", report.elapsed
    for phase, seconds in report.seconds.items():
        yield f"seconds/{phase}", seconds
    if report.stall_seconds is not None:
        yield "stall_seconds", report.stall_seconds
    if report.bytes_per_second is not None:
        yield "bytes_per_second", report.bytes_per_second
    for task, memory in report.memory.items():
        figures = {"resident": memory.resident, "staged": memory.staged, "grown": memory.grown}
        yield from ((f"memory_bytes/{task}/{name}", nbytes) for name, nbytes in figures.items() if nbytes is not None)
