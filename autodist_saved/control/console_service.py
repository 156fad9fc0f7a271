"""The console of a job, served by its chief: what it is doing, and exports on request."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import grpc

from autodist_saved.control import control_pb2, control_pb2_grpc
from autodist_saved.control.channel import peer_of
from autodist_saved.control.gate import Gate
from autodist_saved.control.member import Workers
from autodist_saved.control.rate import Rate
from autodist_saved.control.status_reply import PATH_BYTES_MAX, export_status, shortened_error, status_reply
from autodist_saved.report.export_history import Entry, ExportHistory

_LOOK_SECS = 1.0

Exporter = Callable[[str], object]

log = logging.getLogger(__name__)


class ConsoleService(control_pb2_grpc.ConsoleServicer):
    """Answers people and their tools. Belongs to the chief's process; any thread may use it."""

    def __init__(self, task: str, gate: Gate, workers: Workers, history: ExportHistory) -> None:
        """Tell of a job.

        Args:
            task: the chief.
            gate: the chief's own.
            workers: the other tasks.
            history: of the job's exports.
        """
        self._task = task
        self._gate = gate
        self._workers = workers
        self._history = history
        self._exporter: Exporter | None = None
        self._exporting = threading.Lock()
        self._rate = Rate()
        self._rate.of(gate.steps)

    def export_with(self, exporter: Exporter) -> None:
        """From now on export on request with this function; see :meth:`DistributedSession.export_on_request`."""
        self._exporter = exporter

    def Status(  # noqa: N802 - the name is the protocol's
        self, request: control_pb2.StatusRequest, context: grpc.ServicerContext
    ) -> control_pb2.StatusReply:
        """Called by gRPC."""
        del request, context
        steps = self._gate.steps
        chief = control_pb2.TaskStatus(
            task=self._task,
            state="joined",
            standing=getattr(control_pb2.Progress, self._gate.standing.name),
            steps=steps,
            steps_per_sec=self._rate.of(steps),
            silent_secs=0.0,
            pid=os.getpid(),
        )
        return status_reply(chief, self._workers.members(), self._history.entries())

    def Export(  # noqa: N802 - the name is the protocol's
        self, request: control_pb2.ExportRequest, context: grpc.ServicerContext
    ) -> Iterator[control_pb2.ExportStatus]:
        """Called by gRPC."""
        exporter = self._exporter
        if not request.target:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no target was named")
        if len(request.target.encode()) > PATH_BYTES_MAX:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"the target is longer than {PATH_BYTES_MAX} bytes")
        if exporter is None:
            context.abort(
                grpc.StatusCode.FAILED_PRECONDITION,
                "this job does not say how it exports; have its chief call session.export_on_request(...)",
            )
        if not self._exporting.acquire(blocking=False):
            context.abort(
                grpc.StatusCode.FAILED_PRECONDITION, "an export that was asked for before is still under way"
            )
        log.info("%s asks for an export to %s", peer_of(context), request.target)
        outcome: Future[None] = Future()
        before = max((entry.number for entry in self._history.entries()), default=0)
        thread = threading.Thread(target=self._export, args=(exporter, request.target, outcome), daemon=True)
        thread.start()
        told = None
        while not outcome.done():
            change = self._history.changes
            entry = self._entry_of(thread, before)
            if entry is not None and not entry.is_over and (entry.phase, int(entry.seconds)) != told:
                told = entry.phase, int(entry.seconds)
                yield export_status(entry)
            self._history.wait_for_change(change, _LOOK_SECS)
        error = outcome.exception()
        entry = self._entry_of(thread, before) or Entry(0, request.target)
        status = export_status(entry)
        if error is not None:
            status.error, status.path = shortened_error(f"{type(error).__name__}: {error}"), ""
        elif not status.path:
            status.error = "the function given to session.export_on_request() has returned without an export"
        yield status

    def _export(self, exporter: Exporter, target: str, outcome: Future[None]) -> None:
        try:
            exporter(target)
        except BaseException as error:  # noqa: BLE001 - whoever has asked is told
            log.warning("the export that was asked for has failed: %s", error)
            self._exporting.release()
            outcome.set_exception(error)
        else:
            self._exporting.release()
            outcome.set_result(None)
        self._history.touch()

    def _entry_of(self, thread: threading.Thread, before: int) -> Entry | None:
        """The last export of a thread, numbered higher than those that were there before it."""
        own = [entry for entry in self._history.entries() if entry.thread == thread.ident and entry.number > before]
        return own[-1] if own else None
