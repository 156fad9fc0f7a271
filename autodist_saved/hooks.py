"""The hook that publishes models while a job trains."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.builder import SavedModelBuilder
from autodist_saved.cluster import Cluster
from autodist_saved.errors import UsageError
from autodist_saved.job.adoption import gated_job_of
from autodist_saved.job.job_of import job_of
from autodist_saved.options import ExportOptions, ExportSchedule
from autodist_saved.periodic.exporter import PeriodicExporter
from autodist_saved.periodic.session_publisher import SessionPublisher
from autodist_saved.publish.best import BestBy
from autodist_saved.publish.retention import Retention
from autodist_saved.publish.target import Target
from autodist_saved.publish.versioned import VersionedTarget
from autodist_saved.saver import Saver, required_saver


class ChiefExportHook(v1.train.SessionRunHook):  # type: ignore[misc]
    """Publishes the model as ``BASE/1``, ``BASE/2``, ... while the job trains on.

    Give it to the session of every task; only the chief exports. One thread runs all exports, one at a time. Exports
    that become due meanwhile become one export afterwards. The hook exports

    - every n steps or seconds, and at the end of the training, as ``schedule`` says. With ``best``, only where the
      model is better than all published versions;
    - on SIGUSR1;
    - on SIGTERM: a last time, within ``schedule.last_export_secs``. Then the job ends with ``SystemExit(143)``, or
      calls the signal handler that was there before;
    - on ``autodist-saved export JOB BASE``, in a session of :func:`create_distributed_session`.

    :class:`SavedModelBuilder` says what an export does to the job.
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
            export_base: directory of the versions, or a URL in an object store. The hook keeps the newest five, and
                with ``best`` the best one. Or a target that takes several models, such as :class:`VersionedTarget`.
            saver: made before the session.
            tags, signature_def_map: as in :meth:`SavedModelBuilder.add_meta_graph_and_variables`.
            schedule: when to export.
            cluster: says which task is the chief, where neither the session nor ``TF_CONFIG`` does.
            options: how exports work. They wait for other exports of the job, whatever ``when_busy`` says.
            best: when an export is due, make it only if the model is better than all versions in ``export_base``, by
                a metric in their manifests. The thread of exports measures the metric right before each export, while
                the job trains. SIGUSR1 and ``autodist-saved export`` export in any case. A target of your own keeps
                the best version with ``Retention(keep_best=...)``; the hook logs a warning where it does not.
            then: called in the thread of exports, with the builder, to add further meta graphs. The session's graph
                is the default graph.
            logdir: of TensorBoard; the figures of each export are the run ``export`` there, see
                :func:`write_summary`.
            meta_graph: further arguments of :meth:`SavedModelBuilder.add_meta_graph_and_variables`, such as
                ``train_op``.

        Raises:
            SaverRequiredError: ``saver`` is not an ``autodist_saved.Saver``.
            TypeError: the builder does not know an argument of ``meta_graph``.
            SignatureError, AssertionError, KeyError: the signatures are wrong, as the builder raises it.
            UsageError: ``best`` has no ``value``.
        """
        required_saver(saver)
        if not isinstance(export_base, Target):
            export_base = VersionedTarget(export_base, retention=Retention(keep_best=best))
        self._schedule = schedule or ExportSchedule()
        self._publisher = SessionPublisher(
            export_base,
            saver,
            {"tags": tags, "signature_def_map": signature_def_map, **meta_graph},
            options=(options or ExportOptions()).model_copy(update={"when_busy": "wait"}),
            best=best,
            then=then,
            logdir=logdir,
        )
        self._exporter = PeriodicExporter(self._publisher, self._schedule)
        self._cluster = cluster
        self._step: tf.Variable | None = None
        self.published = self._publisher.published
        """Paths of the versions that this hook has published, oldest first."""

    def begin(self) -> None:
        """Called before the session is made. Raises ``UsageError`` where steps cannot be counted."""
        self._exporter.prepare()
        self._step = v1.train.get_global_step() if self._schedule.every_steps is not None else None
        if self._step is None and self._schedule.every_steps is not None:
            raise UsageError(
                "there is no global step to count, so nothing is due every_steps; call "
                "tf.compat.v1.train.get_or_create_global_step() before the optimizer's minimize(), or use every_secs"
            )

    def after_create_session(self, session: v1.Session, coord: tf.train.Coordinator) -> None:
        """Called by every session, one that is made anew after a loss as well.

        Raises:
            UsageError: nothing could stop the other tasks for an export (see :func:`create_distributed_session`), or
                the saver was made in another graph.
            GraphError, BindingError, SignatureError: as :meth:`SavedModelBuilder.add_meta_graph_and_variables`, or
                the value of ``best`` is no number that can be measured; at the first session, before its first step.
            TargetError: as the target's ``preflight``.
        """
        cluster = self._cluster or job_of(session).cluster
        if not cluster.is_chief:
            return
        job = gated_job_of(session, cluster)
        self._publisher.use(session, cluster)
        job.export_on_request(self._exporter.export_on_request)
        self._exporter.start(None if self._step is None else session.run(self._step), coord.should_stop)

    def before_run(self, run_context: v1.train.SessionRunContext) -> v1.train.SessionRunArgs | None:  # noqa: ARG002
        """Called by the session."""
        return v1.train.SessionRunArgs(self._step) if self._step is not None else None

    def after_run(self, run_context: v1.train.SessionRunContext, run_values: Any) -> None:
        """Called by the session. Raises what an export has raised, if the schedule says so."""
        self._exporter.check()
        # What was read in the same run as the training op may be the value before it.
        if self._step is not None and self._exporter.is_due(run_values.results + 1):
            self._exporter.step(run_context.session.run(self._step))

    def end(self, session: v1.Session) -> None:  # noqa: ARG002 - TensorFlow's signature
        """Called by the session when the training has ended well. Raises as :meth:`PeriodicExporter.end`."""
        self._exporter.end()
