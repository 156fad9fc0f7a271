"""The hook that publishes models while a job trains."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.builder import SavedModelBuilder
from autodist_saved.cluster import Cluster
from autodist_saved.errors import ExportError, UsageError
from autodist_saved.job.gated_session import GatedSession
from autodist_saved.job.job import Job
from autodist_saved.options import ExportOptions, ExportSchedule, SessionOptions
from autodist_saved.periodic.export_thread import THE_TIME, ExportThread
from autodist_saved.periodic.publisher import Publisher
from autodist_saved.periodic.retry import attempts
from autodist_saved.publish.best import BestBy
from autodist_saved.publish.retention import Retention
from autodist_saved.publish.target import Target
from autodist_saved.publish.versioned import VersionedTarget
from autodist_saved.saver import Saver, required_saver
from autodist_saved.session import cluster_of
from autodist_saved.system.paths import path_of
from autodist_saved.system.signals import EXPORT_SIGNALS, Exporter

_THE_END = "the end of the training"
_ALWAYS = {signal.SIGUSR1.name}
"""Reasons to export what is not better, too."""

log = logging.getLogger(__name__)


class ChiefExportHook(v1.train.SessionRunHook):  # type: ignore[misc]
    """Publishes the model as ``BASE/1``, ``BASE/2``, ... while the job trains on.

    Give it to the session of every task: it acts on the chief alone. Exports run in a thread of their own, never two
    at a time; what is due while one runs becomes one export afterwards. They come

    - every n steps or seconds, and at the end of the training, as ``schedule`` says; with ``best``, where the model
      is better than all that are published;
    - on SIGUSR1; on SIGTERM there is a last one, within ``schedule.last_export_secs``, and then the job ends with
      ``SystemExit(143)``, or goes on to the handler that was there before;
    - on ``autodist-saved export JOB BASE``, in a session of :func:`create_distributed_session`.

    What an export does to the job is told in :class:`SavedModelBuilder`.
    """

    def __init__(
        self,
        export_base: str | os.PathLike[str] | Target,
        *,
        saver: Saver,
        tags: Sequence[str] = ("serve",),
        signature_def_map: Mapping[str, Any] | None = None,
        schedule: ExportSchedule | None = None,
        cluster: Cluster | None = None,
        options: ExportOptions | None = None,
        best: BestBy | None = None,
        then: Callable[[SavedModelBuilder], None] | None = None,
        logdir: str | os.PathLike[str] | None = None,
        **meta_graph: Any,
    ) -> None:
        """Touches no file.

        Args:
            export_base: directory of the versions, or a URL in an object store, the newest five of which are kept,
                and the best one where there is ``best``; or a target that takes models in turn, such as
                :class:`VersionedTarget`.
            saver: made before the session.
            tags, signature_def_map: as in :meth:`SavedModelBuilder.add_meta_graph_and_variables`.
            schedule: when to export.
            cluster: decides who is the chief where neither the session nor ``TF_CONFIG`` tells.
            options: how exports work. They wait for other exports of the job, whatever ``when_busy`` says.
            best: export what is due only if it is better than all versions in ``export_base``, by a metric in their
                manifests. It is measured in the thread of exports, right before each one, while the job trains.
                What SIGUSR1 and ``autodist-saved export`` ask for is exported in any case. A target of your own
                keeps the best one with ``Retention(keep_best=...)``; there is a warning where it does not.
            then: called in the thread that exports, with the builder, to add further meta graphs; the session's
                graph is the default one.
            logdir: of TensorBoard; the figures of each export are its run ``export``, see :func:`write_summary`.
            meta_graph: further arguments of :meth:`SavedModelBuilder.add_meta_graph_and_variables`, such as
                ``train_op``.

        Raises:
            SaverRequiredError: ``saver`` is not an ``autodist_saved.Saver``.
            TypeError: the builder does not know an argument of ``meta_graph``.
            UsageError: ``best`` has no ``value``.
        """
        required_saver(saver)
        if not isinstance(export_base, Target):
            export_base = VersionedTarget(export_base, retention=Retention(keep_best=best))
        self._target = export_base
        self._publisher = Publisher(
            export_base,
            {"tags": tags, "signature_def_map": signature_def_map, "saver": saver, **meta_graph},
            options=(options or ExportOptions()).model_copy(update={"when_busy": "wait"}),
            best=best,
            then=then,
            logdir=logdir,
        )
        self._schedule = schedule or ExportSchedule()
        self._cluster = cluster
        self._timer: v1.train.SecondOrStepTimer | None = None
        self._step: tf.Variable | None = None
        self._exports: ExportThread | None = None
        self._given_up = threading.Event()
        self._exporter: Exporter | None = None
        self._closing: threading.Thread | None = None
        self._failed = 0
        self.published = self._publisher.published
        """Paths of the versions that this hook has published, oldest first."""

    def begin(self) -> None:
        """Called before the session is made. Raises ``UsageError`` where steps cannot be counted."""
        if self._exports is not None:  # of a training that has failed
            self._let_go(self._exports)
        if self._closing is not None:
            self._closing.join()
        self._failed = 0
        self._step = v1.train.get_global_step()
        if self._step is None and self._schedule.every_steps is not None:
            raise UsageError(
                "there is no global step to count, so nothing is due every_steps; call "
                "tf.compat.v1.train.get_or_create_global_step() before the optimizer's minimize(), or use every_secs"
            )
        if self._schedule.every_steps:
            self._timer = v1.train.SecondOrStepTimer(every_steps=self._schedule.every_steps)

    def after_create_session(self, session: v1.Session, coord: tf.train.Coordinator) -> None:
        """Called by every session, one that is made anew after a loss as well.

        Raises:
            UsageError: nothing could stop the other tasks for an export; see :func:`create_distributed_session`.
            SignatureError, GraphError, BindingError: as :meth:`SavedModelBuilder.add_meta_graph_and_variables`, or
                the value of ``best`` is no number that can be measured; at the first session, before its first step.
            TargetError: as the target's ``preflight``.
        """
        cluster = self._cluster or cluster_of(session)
        if not cluster.is_chief:
            return
        if not isinstance(session, GatedSession) and not session.sess_str:
            # TensorFlow's own session of one process: its steps have to end before the thread of exports copies.
            session = GatedSession.adopt(session, Job(cluster, SessionOptions()))
        self._publisher.use(session, cluster)
        if self._timer is not None:
            self._timer.update_last_triggered_step(session.run(self._step))
        if isinstance(session, GatedSession):
            session.job.export_on_request(self._export_on_request)
        if self._exports is None:
            self._publisher.begin()
            self._exports = ExportThread(self._export, self._schedule.every_secs)
        if self._schedule.signals:
            self._exporter = self._exporter or self._on_signals()
            self._exporter.is_over = coord.should_stop
            EXPORT_SIGNALS.add(self._exporter)

    def before_run(self, run_context: v1.train.SessionRunContext) -> v1.train.SessionRunArgs | None:  # noqa: ARG002
        """Called by the session."""
        return v1.train.SessionRunArgs(self._step) if self._timer is not None else None

    def after_run(self, run_context: v1.train.SessionRunContext, run_values: Any) -> None:
        """Called by the session. Raises what an export has raised, if the schedule says so."""
        if self._exports is None:
            return
        self._tell_failures(self._exports)
        if EXPORT_SIGNALS.is_done():
            EXPORT_SIGNALS.stop()
        if not EXPORT_SIGNALS.is_stopping:
            self._exports = self._exports.living()  # the handler that was there before may let the training go on
        if self._timer is not None and self._timer.should_trigger_for_step(run_values.results + 1):
            # What was read in the same run as the training op may be the value before it.
            step = run_context.session.run(self._step)
            if self._timer.should_trigger_for_step(step):
                self._timer.update_last_triggered_step(step)
                self._exports.ask(f"step {step}")

    def end(self, session: v1.Session) -> None:  # noqa: ARG002 - TensorFlow's signature
        """Called by the session when the training has ended well.

        Raises what the last export has raised, unless the schedule says ``warn``: the model is not the last state.
        """
        if self._exports is None:
            return
        if self._schedule.at_end:
            self._exports = self._exports.living()  # SIGTERM has ended it before the last steps
            self._exports.ask(_THE_END)
        self._exports.end()
        try:
            in_time = self._exports.wait(self._schedule.last_export_secs)
            failure = self._exports.last_failure if in_time else self._exports.give_up(self._too_late())
            self._tell_failures(self._exports, "training is over")
            if failure is not None and self._schedule.on_error != "warn":
                raise failure
        finally:
            self._let_go(self._exports)
        if self._failed:
            log.error("exports to %s that have failed: %d", self._target.path, self._failed)
        self._publisher.end()

    def _too_late(self) -> ExportError:
        return ExportError(
            f"the last export has not ended within {self._schedule.last_export_secs:g} s, and is given up; raise "
            "last_export_secs",
            path=self._target.path,
        )

    def _tell_failures(self, exports: ExportThread, meanwhile: str = "training goes on") -> None:
        for failure in exports.failures():
            self._failed += 1
            if self._schedule.on_error == "fail":
                raise failure
            log.error("an export to %s has failed, and %s: %s", self._target.path, meanwhile, failure)

    def _let_go(self, exports: ExportThread) -> None:
        """Of what belongs to one training, whichever way it has ended. There may be another one."""
        if self._exporter is not None:
            EXPORT_SIGNALS.remove(self._exporter)
        exports.end()
        self._given_up.set()
        if exports.wait():
            self._target.close()
        else:  # what holds the export up may hold this up as well, such as a store that does not answer
            self._closing = threading.Thread(target=self._target.close, name="closing", daemon=True)
            self._closing.start()
        self._exports = self._exporter = None
        self._given_up = threading.Event()

    def _on_signals(self) -> Exporter:
        def ask(name: str) -> None:
            if self._exports is not None:
                self._exports.ask(name)
                if name == "SIGTERM":
                    self._exports.end()

        return Exporter(
            ask=ask,
            is_done=lambda: self._exports is None or self._exports.wait(),
            tell=lambda: None if self._exports is None else self._tell_failures(self._exports),
            limit_secs=self._schedule.last_export_secs,
            is_over=lambda: False,
        )

    def _export_on_request(self, target: str) -> None:
        if path_of(target).resolve() != path_of(self._target.path).resolve():
            raise UsageError(
                f"this job publishes versions in {self._target.path} alone; ask for an export to that directory"
            )
        self._publisher.publish("a request", always=True)

    def _export(self, reasons: Sequence[str]) -> None:
        """Called in the thread of exports."""
        if reasons == [THE_TIME] and self._publisher.is_idle:
            return  # the session was lost, or the training has failed
        if reasons == [_THE_END] and self._publisher.is_done:
            log.info("nobody has trained since version %s, so it is the last one", self.published[-1])
            return
        always = not _ALWAYS.isdisjoint(reasons)
        again = attempts(self._schedule, self._target.path, self._given_up)
        again(self._publisher.publish, ", ".join(reasons), always=always)
