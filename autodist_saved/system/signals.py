"""What a process of a job does on SIGUSR1 and SIGTERM while it takes part in the job."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any

from autodist_saved.system.process_one import EXIT_STATUS_TERMINATED, is_deaf
from autodist_saved.system.signal_watch import SignalWatch

SAME_SIGTERM_SECS = 1.0
"""A second SIGTERM within this time counts as the first: a process gets two if the sender signals the whole process
group and the parent passes the signal on."""
NO_STEP_SECS = 5.0
"""How long the process waits after the last export for training to reach its next step, at which it ends normally."""
LAST_RESORT_SECS = 10.0
"""How long the main thread may take to return from TensorFlow after that, unless the limit is reached first."""
IMPATIENT_SECS = 1.0
"""The same after the limit, or after a second SIGTERM."""

_POLL_SECS = 0.05

log = logging.getLogger(__name__)


@dataclass(eq=False)
class SignalListener:
    """Exports when a signal arrives, or waits for another process that does.

    Attributes:
        ask: called with the name of the signal that has arrived, in a thread or in the signal handler. Must return at
            once.
        is_done: whether everything that SIGTERM started has ended.
        report_failures: called in the main thread right before the process ends, to log or raise what has failed.
        limit_secs: the most seconds that the process continues after SIGTERM.
        is_over: whether the training has ended, with or without an error. Signals then do what they did before.
        signals: the signals that the listener wants.
    """

    ask: Callable[[str], None]
    is_done: Callable[[], bool]
    report_failures: Callable[[], None]
    limit_secs: float
    is_over: Callable[[], bool]
    signals: Sequence[signal.Signals] = (signal.SIGUSR1, signal.SIGTERM)


@dataclass(eq=False)
class _Stopping:
    """The state of the process after SIGTERM.

    It has no lock: a handler may interrupt the thread that holds the lock, and would then wait for itself.
    """

    since: float
    is_impatient: bool = False
    final_action: Callable[[], None] | None = None
    is_over: bool = False


class ExportSignals:
    """Exports on SIGUSR1; on SIGTERM exports once more, then ends the process.

    Signal handlers belong to the process, so a process has one object, which serves all hooks and sessions. Python
    installs handlers in the main thread only, so listeners that are added in another thread get no signals.
    """

    def __init__(self) -> None:
        self._listeners: list[SignalListener] = []
        self._before: dict[int, Any] = {}
        self._watch: SignalWatch | None = None
        self._stopping: _Stopping | None = None

    @property
    def is_stopping(self) -> bool:
        """Whether SIGTERM has arrived."""
        return self._stopping is not None

    def is_done(self) -> bool:
        """Whether SIGTERM has arrived and all last exports have ended."""
        return self.is_stopping and all(listener.is_done() for listener in self._listeners)

    def add(self, listener: SignalListener) -> None:
        """Call the listener when a signal arrives, and drop listeners whose training is over.

        May be called again for the same listener, when its session is made anew. In any but the main thread it only
        logs a warning.
        """
        if threading.current_thread() is not threading.main_thread():
            log.warning(
                "signals can be handled in the main thread only: SIGTERM ends this process without a last export"
            )
            return
        is_new = listener not in self._listeners
        self._listeners = [one for one in self._listeners if one is not listener and not one.is_over()] + [listener]
        if self._watch is None:
            self._watch = SignalWatch(lambda number: self._on_signal(number) if self._handles(number) else None)
            for number in listener.signals:
                self._before[number] = signal.signal(number, self._handle)
        elif is_new and self.is_stopping:
            listener.ask(signal.SIGTERM.name)

    def remove(self, listener: SignalListener) -> None:
        """Call the listener no more. After the last one, signals do what they did before."""
        if listener in self._listeners:
            self._listeners.remove(listener)
            if not self._listeners and threading.current_thread() is threading.main_thread():
                self.restore()

    def restore(self) -> None:
        """Make signals do what they did before. Called in the main thread."""
        watch = self._watch
        self._forget()
        if watch is not None:
            watch.close()

    def reset_in_child(self) -> None:
        """Make signals do what they did before. Called in a forked child, which does not train.

        The child shares the parent's wakeup socket, and would otherwise report its own SIGTERM to the parent.
        """
        if self._watch is not None:
            self._watch.uninstall()
        self._forget()

    def stop(self) -> None:
        """End this process as SIGTERM would have ended it. Called in the main thread after the last exports.

        If the program had a handler for SIGTERM, it is called instead. If the program ignored SIGTERM, nothing
        happens.

        Raises:
            SystemExit: with status 143, if SIGTERM had no handler.
        """
        before, listeners = self._before.get(signal.SIGTERM), self._listeners
        self.restore()
        for listener in listeners:
            listener.report_failures()
        if callable(before):
            before(signal.SIGTERM, None)
        elif before != signal.SIG_IGN:
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # by default it would kill the process while it ends
            raise SystemExit(EXIT_STATUS_TERMINATED)

    def _forget(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._stopping is not None:
            self._stopping.is_over = True
        self._listeners, self._before, self._watch, self._stopping = [], {}, None, None

    def _is_over(self) -> bool:
        return not self.is_stopping and all(listener.is_over() for listener in self._listeners)

    def _handle(self, number: int, _: FrameType | None) -> None:
        """The signal handler. Python calls it in the main thread, once that has returned from C++ code."""
        if self._stopping is not None and self._stopping.final_action is not None:
            self._stopping.final_action()
        elif self._is_over():
            self._resend_to_previous_handler(number)
        elif self._watch is not None and not (self._watch.is_installed() and self._handles(number)):
            self._on_signal(number)

    def _handles(self, number: int) -> bool:
        """Whether our handler is the current one. A handler that has replaced it decides whether to call it."""
        return signal.getsignal(number) == self._handle

    def _on_signal(self, number: int) -> None:
        """Called by the watching thread; by our handler if another library has replaced the wakeup descriptor."""
        if number not in self._before or self._is_over():
            return
        if self._stopping is not None:
            is_late = time.monotonic() > self._stopping.since + SAME_SIGTERM_SECS
            self._stopping.is_impatient |= is_late and number == signal.SIGTERM
            return
        if number == signal.SIGTERM:
            self._stopping = _Stopping(time.monotonic())
        for listener in self._listeners:
            listener.ask(signal.Signals(number).name)
        if self._stopping is not None:
            threading.Thread(target=self._end_in_time, args=(self._stopping,), name="stopping", daemon=True).start()

    def _end_in_time(self, stopping: _Stopping) -> None:
        """End the process if training does not reach its next step, at which the main thread would end it."""
        end = stopping.since + max((listener.limit_secs for listener in self._listeners), default=0)
        steps_until: float | None = None
        while not stopping.is_impatient and (now := time.monotonic()) < min(end, steps_until or end):
            steps_until = (steps_until or now + NO_STEP_SECS) if self.is_done() else None
            time.sleep(_POLL_SECS)
            if stopping.is_over:
                return
        if stopping.is_over:  # at once: nobody was to be waited for
            return
        if stopping.is_impatient:
            log.error("a second SIGTERM has arrived: the process ends without waiting for the last export")
        elif steps_until is None:
            log.error(
                "the last export has not ended %g s after SIGTERM: the process ends without it", end - stopping.since
            )
        else:
            log.warning("training does not reach its next step: the process ends without waiting for it")
        if steps_until is None or stopping.is_impatient:
            action = partial(self._resend_to_previous_handler, signal.SIGTERM)
            self._end_from_main_thread(stopping, action, IMPATIENT_SECS)
        else:
            timeout_secs = max(IMPATIENT_SECS, min(LAST_RESORT_SECS, end - time.monotonic()))
            self._end_from_main_thread(stopping, self.stop, timeout_secs)

    def _end_from_main_thread(
        self, stopping: _Stopping, final_action: Callable[[], None], timeout_secs: float
    ) -> None:
        """Make the main thread run ``final_action``. If it does not in time, end the process from here."""
        stopping.final_action = final_action
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
        until = time.monotonic() + timeout_secs
        while not stopping.is_over:
            if time.monotonic() > until:
                log.critical("training does not return from TensorFlow: the process ends with status 143")
                logging.shutdown()
                os._exit(EXIT_STATUS_TERMINATED)
            time.sleep(_POLL_SECS)

    def _resend_to_previous_handler(self, number: int) -> None:
        if number == signal.SIGTERM and is_deaf(self._before.get(number)):
            logging.shutdown()
            os._exit(EXIT_STATUS_TERMINATED)
        self.restore()
        os.kill(os.getpid(), number)


EXPORT_SIGNALS = ExportSignals()
os.register_at_fork(after_in_child=EXPORT_SIGNALS.reset_in_child)
