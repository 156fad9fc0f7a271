"""Exports again and again while a job trains: when, in which thread, how often tried, and how it ends."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent import futures

from autodist_saved.errors import ExportError, TargetError, UsageError
from autodist_saved.options import ExportSchedule
from autodist_saved.periodic.export_thread import THE_TIME, ExportThread
from autodist_saved.periodic.publisher import Publisher
from autodist_saved.periodic.retry import retrying
from autodist_saved.system.paths import path_of
from autodist_saved.system.signals import EXPORT_SIGNALS, SignalListener

CLOSING_SECS = 10.0
"""How long the thread that trains waits for a target to be closed."""
_THE_END = "the end of the training"
_ALWAYS = {signal.SIGUSR1.name}
"""Reasons to export what is not better, too."""

log = logging.getLogger(__name__)


class PeriodicExporter:
    """Runs a publisher in a thread of its own, as a schedule says. Hooks and callbacks forward their calls to it.

    The thread that trains calls every method but :meth:`export_on_request`, on the chief alone, in this order:
    :meth:`prepare`, :meth:`start` (again whenever a session is made anew), :meth:`check` and :meth:`step` after each
    step, :meth:`end`. After a training that has failed the next one begins with :meth:`prepare`.
    """

    def __init__(self, publisher: Publisher, schedule: ExportSchedule) -> None:
        """Starts no thread."""
        self._publisher = publisher
        self._schedule = schedule
        self._thread: ExportThread | None = None
        self._given_up = threading.Event()
        self._listener: SignalListener | None = None
        self._closed: futures.Future[None] | None = None
        self._last_step = 0
        self._failed = 0

    @property
    def is_running(self) -> bool:
        """Whether it has been started, and the training has not ended."""
        return self._thread is not None

    def prepare(self) -> None:
        """Release what a training that has failed has left, so that another training may follow.

        Raises:
            TargetError: an export of that training still hangs.
        """
        if self._thread is not None:
            self._let_go(self._thread)
        if self._closed is not None:
            futures.wait([self._closed], CLOSING_SECS)
            if not self._closed.done():
                raise TargetError(
                    f"an export to {self._path} of the training before has not ended: the place does not answer; "
                    "look at its disk or store, or publish to another place",
                    path=self._path,
                )
        self._failed = 0

    def start(self, step: int | None, training_stops: Callable[[], bool]) -> None:
        """Export from now on.

        Args:
            step: the global step; None where none is counted.
            training_stops: whether the training is ending, in whichever way.

        Raises:
            UsageError, TargetError: as :meth:`Publisher.begin`, the first time.
        """
        if step is not None:
            self._last_step = step
        if self._thread is None:
            self._publisher.begin()
            self._thread = ExportThread(self._export, self._schedule.every_secs)
        if self._schedule.signals:
            self._listener = self._listener or self._on_signals()
            self._listener.is_over = training_stops
            EXPORT_SIGNALS.add(self._listener)

    def check(self) -> None:
        """Log what exports have raised since the last call, or raise it, if the schedule says so.

        After SIGTERM it ends this process, once the last export is done.
        """
        if self._thread is None:
            return
        self._report_failures(self._thread)
        if EXPORT_SIGNALS.is_done():
            EXPORT_SIGNALS.stop()
        if not EXPORT_SIGNALS.is_stopping:
            # The handler that was there before may let the training go on.
            self._thread = self._thread.restarted_if_ended()

    def is_due(self, step: int) -> bool:
        """Whether a global step is one to export at."""
        every = self._schedule.every_steps
        return self._thread is not None and every is not None and step >= self._last_step + every

    def step(self, step: int) -> None:
        """Export if this global step is due. Returns at once."""
        if self._thread is not None and self.is_due(step):
            self._last_step = step
            self._thread.ask(f"step {step}")

    def end(self) -> None:
        """The training has ended well: export the last state, and wait for that.

        Raises what the last export has raised, unless the schedule says ``warn``: the model is not the last state.
        """
        if self._thread is None:
            return
        if self._schedule.at_end:
            self._thread = self._thread.restarted_if_ended()  # SIGTERM has ended it before the last steps
            self._thread.ask(_THE_END)
        self._thread.end()
        try:
            in_time = self._thread.wait(self._schedule.last_export_secs)
            failure = self._thread.last_failure if in_time else self._thread.give_up(self._too_late())
            self._report_failures(self._thread, "training is over")
            if failure is not None and self._schedule.on_error != "warn":
                raise failure
        finally:
            self._let_go(self._thread)
        if self._failed:
            log.error("failed exports to %s: %d", self._path, self._failed)
        self._publisher.end()

    def export_on_request(self, target: str) -> None:
        """Export to this directory now, in the calling thread. Any thread may call it.

        Raises:
            UsageError: it is not the publisher's directory; or the training has not begun, or has ended.
        """
        if path_of(target).resolve() != path_of(self._path).resolve():
            raise UsageError(
                f"this job publishes versions in {self._path} alone; request an export to that directory"
            )
        if not self.is_running:
            raise UsageError(f"this job publishes to {self._path} while it trains; request an export while it does")
        self._publisher.publish("a request", always=True)

    @property
    def _path(self) -> str:
        return self._publisher.target.path

    def _too_late(self) -> ExportError:
        return ExportError(
            f"the last export did not end within {self._schedule.last_export_secs:g} s and was given up; raise "
            "last_export_secs",
            path=self._path,
        )

    def _report_failures(self, exports: ExportThread, meanwhile: str = "training goes on") -> None:
        for failure in exports.failures():
            self._failed += 1
            if self._schedule.on_error == "fail":
                raise failure
            log.error("an export to %s failed; %s: %s", self._path, meanwhile, failure)

    def _let_go(self, exports: ExportThread) -> None:
        """Release what belongs to one training, however that has ended. Another training may follow."""
        if self._listener is not None:
            EXPORT_SIGNALS.remove(self._listener)
        exports.end()
        self._given_up.set()
        # What holds an export up may hold this up as well: a disk that hangs, a store that does not answer.
        closed: futures.Future[None] = futures.Future()
        self._closed = closed
        threading.Thread(target=self._close_target, args=(closed,), name="closing", daemon=True).start()
        if exports.wait() and futures.wait([closed], CLOSING_SECS).done:
            closed.result()
        self._thread = self._listener = None
        self._given_up = threading.Event()

    def _close_target(self, closed: futures.Future[None]) -> None:
        try:
            self._publisher.target.close()
        except Exception as error:  # noqa: BLE001 - the thread that trains raises it, if it still waits
            closed.set_exception(error)
        else:
            closed.set_result(None)

    def _on_signals(self) -> SignalListener:
        def ask(name: str) -> None:
            if self._thread is not None:
                self._thread.ask(name)
                if name == "SIGTERM":
                    self._thread.end()

        return SignalListener(
            ask=ask,
            is_done=lambda: self._thread is None or self._thread.wait(),
            report_failures=lambda: None if self._thread is None else self._report_failures(self._thread),
            limit_secs=self._schedule.last_export_secs,
            is_over=lambda: False,
        )

    def _export(self, reasons: Sequence[str]) -> None:
        """Called in the thread of exports."""
        if reasons == [THE_TIME] and self._publisher.is_idle:
            return  # the session was lost, or the training has failed
        if reasons == [_THE_END] and self._publisher.is_done:
            log.info("version %s is the last one: nobody has trained since", self._publisher.published[-1])
            return
        always = not _ALWAYS.isdisjoint(reasons)
        again = retrying(self._schedule, self._path, self._given_up)
        again(self._publisher.publish, ", ".join(reasons), always=always)
