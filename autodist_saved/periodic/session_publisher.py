"""Publishes the model of a session, as the export hook asks for."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow.compat.v1 as v1

from autodist_saved.builder import SavedModelBuilder
from autodist_saved.cluster import Cluster
from autodist_saved.errors import UsageError
from autodist_saved.graph.arguments.metric import metric_problems
from autodist_saved.job.gated_session import is_gone, losses_told
from autodist_saved.job.job_of import job_of
from autodist_saved.options import ExportOptions
from autodist_saved.periodic.dry_run import dry_run
from autodist_saved.periodic.publisher import Publisher
from autodist_saved.pipeline.request_from_arguments import MetaGraphArguments
from autodist_saved.publish.best import BestBy, BestSoFar
from autodist_saved.publish.target import Target
from autodist_saved.report_views.tensorboard import write_summary
from autodist_saved.saver import Saver
from autodist_saved.system import deadline

log = logging.getLogger(__name__)


class SessionPublisher(Publisher):
    """Publishes the model that a session of a graph holds."""

    def __init__(
        self,
        target: Target,
        saver: Saver,
        meta_graph: Mapping[str, Any],
        *,
        options: ExportOptions,
        best: BestBy | None = None,
        then: Callable[[SavedModelBuilder], None] | None = None,
        logdir: str | os.PathLike[str] | None = None,
    ) -> None:
        """Touches no file. Arguments are those of :class:`ChiefExportHook`.

        Args:
            target: takes models in turn.
            saver: made before the session.
            meta_graph: arguments of :meth:`SavedModelBuilder.add_meta_graph_and_variables` but session and saver.
            options, best, then, logdir: as there.

        Raises:
            TypeError: the builder does not know an argument of ``meta_graph``.
            SignatureError, AssertionError, KeyError: the signatures are wrong, as the builder raises it.
            UsageError: ``best`` has no ``value``.
        """
        self.target = target
        self.published: list[str] = []
        self._saver = saver
        self._meta_graph = meta_graph
        self._arguments = MetaGraphArguments(**meta_graph)
        self._options = options
        self._best = None if best is None else BestSoFar(best)
        self._then = then
        self._logdir = logdir
        self._turn = threading.Lock()
        self._session: v1.Session | None = None
        self._cluster: Cluster | None = None
        self._published_after: dict[str, int] = {}

    @property
    def is_idle(self) -> bool:
        """See :class:`Publisher`: the session is closed, or has lost a parameter server."""
        return self._session is not None and is_gone(self._session)

    @property
    def is_done(self) -> bool:
        steps = {} if self._session is None else job_of(self._session).steps()
        return bool(steps) and steps == self._published_after

    def use(self, session: v1.Session, cluster: Cluster) -> None:
        """Publish out of this plain session from now on, on the chief of this cluster.

        Raises:
            UsageError: nothing could stop the other tasks for an export.
        """
        job_of(session).cut_for(self._options)
        self._session, self._cluster, self._published_after = session, cluster, {}

    def begin(self) -> None:
        """See :class:`Publisher`.

        Raises:
            SignatureError, GraphError, BindingError: as :meth:`SavedModelBuilder.add_meta_graph_and_variables`, or
                the metric's value is no number that can be measured.
            TargetError: as the target's ``preflight``.
        """
        session, cluster = self._used()
        log.info("looking whether %s takes models", self.target.path)
        by = None if self._best is None else self._best.by
        problems = () if by is None else metric_problems(by.metric, by.value, session.graph)
        nbytes = dry_run(session, self._saver, self._arguments, self.target, self._options, problems)
        self.target.preflight(nbytes, str(cluster.task or cluster.chief))
        if self._best is not None:
            stays = self.target.keeps_best(self._best.by)
            self._best.begin((report.metrics for report in self.target.reports()), stays)

    def publish(self, reason: str, *, always: bool) -> None:
        """See :class:`Publisher`. Raises what a builder raises, and ``JobError`` where the session is lost."""
        session, cluster = self._used()
        turn = deadline.turn(self._turn, lambda: f"an export to {self.target.path} waits until another one is over")
        with losses_told(session), turn, session.graph.as_default():
            metrics = {} if self._best is None else self._best.measure(session)
            if self._best is not None and not always and not self._best.is_beaten_by(metrics):
                return
            log.info("exporting to %s, because of %s", self.target.path, reason)
            builder = SavedModelBuilder(
                self.target,
                cluster=cluster,
                options=self._options,
                metrics=metrics,
                metric_modes=dict.fromkeys(metrics, self._best.by.mode) if self._best is not None else None,
            )
            try:
                builder.add_meta_graph_and_variables(session, saver=self._saver, **self._meta_graph)
                if self._then is not None:
                    self._then(builder)
                builder.save()
            finally:
                builder.abandon()  # what a failure has left
            self.published.append(str(builder.report.path))
            self._published_after = builder.report.witness.steps if builder.report.witness else {}
            if self._logdir is not None:
                write_summary(builder.report, self._logdir)
            if self._best is not None:
                self._best.add(metrics)

    def end(self) -> None:
        if self._best is not None:
            self._best.end(self.target.path)

    def _used(self) -> tuple[v1.Session, Cluster]:
        if self._session is None or self._cluster is None:
            raise UsageError("there is no session to export from yet")
        return self._session, self._cluster
