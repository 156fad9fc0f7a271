"""Checkpoints as streams: what runs in place of the ops by which TensorFlow's saver saves and restores."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.checkpoint.restore import is_streamable, restore
from autodist_saved.job.job_of import job_of
from autodist_saved.options import ExportOptions
from autodist_saved.pipeline.capture import Capture
from autodist_saved.pipeline.stream import BundleDestination
from autodist_saved.sources.restore_ops import RestoreOps
from autodist_saved.sources.session_sink import SessionSink
from autodist_saved.sources.staging_ops import StagingOps
from autodist_saved.sources.turn import Turn


@dataclass(frozen=True)
class CheckpointStreams:
    """Saves and restores the variables of one saver in one plain session.

    Attributes:
        session: whose variables these are.
        staging: the saver's ops for saving.
        restore_ops: its ops for restoring.
        turn: shared by all exports and checkpoints of the saver.
        options: for streaming; ``when_busy`` is not looked at, for a checkpoint always waits.
        data_files: how many a checkpoint has at least.
        save_stock: runs TensorFlow's own op, given the checkpoint prefix.
        restore_stock: the same.
    """

    session: v1.Session
    staging: StagingOps
    restore_ops: RestoreOps
    turn: Turn
    options: ExportOptions
    data_files: int
    save_stock: Callable[[str], str]
    restore_stock: Callable[[str], None]

    def save(self, prefix: str) -> str:
        """Write a checkpoint. Returns its prefix. Raises as :meth:`Capture.run`, and ``tf.errors.NotFoundError``."""
        if "://" in prefix:
            return self.save_stock(prefix)
        directory = Path(os.path.dirname(prefix))  # noqa: PTH120 - of "directory/" this is not what is above it
        if not directory.is_dir():
            if os.path.lexists(directory) or not directory.parent.is_dir():
                # TensorFlow's save explains it.
                raise tf.errors.NotFoundError(None, None, f"{prefix}: no such directory")
            directory.mkdir()
        job = job_of(self.session)
        # Training should not fail because an export is under way at this moment.
        changes = {"when_busy": "wait"}
        if not job.has_gates:  # TensorFlow's own sessions save as they always do, and a warning says what that may be
            changes["consistency"] = "none"
        options = self.options.model_copy(update=changes)
        source = job.source(self.session, self.staging, self.turn)
        capture = Capture(source.plan(), source, job.cut_for(options), options)
        capture.run(BundleDestination(prefix, self.data_files))
        return prefix

    def restore(self, prefix: str) -> None:
        """Restore a checkpoint. Nobody trains meanwhile: the saver sees to that. Raises as :func:`restore`."""
        if is_streamable(prefix):
            restore(prefix, SessionSink(self.session, self.staging, self.restore_ops), self.options)
        else:
            self.restore_stock(prefix)
