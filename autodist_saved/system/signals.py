"""What a process of a job does on SIGUSR1 and SIGTERM, as long as it takes part."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

from autodist_saved.system.signal_watch import SignalWatch

EXIT_STATUS_TERMINATED = 128 + signal.SIGTERM
SAME_SIGTERM_SECS = 1.0
"""A second SIGTERM within that time is the same: to the process group, and passed on by the parent."""
NO_STEP_SECS = 5.0
"""How long after the last export the training may take to come to a step, where the process ends in good order."""
LAST_RESORT_SECS = 10.0
"""How long the main thread may take then to come back from TensorFlow, unless the limit comes first."""
IMPATIENT_SECS = 1.0
"""The same where the time is over, or a second SIGTERM has come."""

_POLL_SECS = 0.05

log = logging.getLogger(__name__)


@dataclass(eq=False)
class SignalListener:
    """Who exports on signals, or waits for another process that does.

    Attributes:
        ask: called with the name of the signal that has come, in a thread or by its handler; returns at once.
        is_done: whether all has ended that SIGTERM has asked for.
        tell: called in the main thread, to raise or log what has gone wrong, right before the process ends.
        limit_secs: how long after SIGTERM the process goes on at the most.
        is_over: whether the training has ended in whatever way; signals then do what they did before.
        signals: that it is told of.
    """

    ask: Callable[[str], None]
    is_done: Callable[[], bool]
    tell: Callable[[], None]
    limit_secs: float
    is_over: Callable[[], bool]
    signals: Sequence[signal.Signals] = (signal.SIGUSR1, signal.SIGTERM)


@dataclass(eq=False)
class _Stopping:
    """What has become of SIGTERM. Plain values alone: handlers may interrupt whoever holds a lock."""

    since: float
    is_impatient: bool = False
    last_word: Callable[[], None] | None = None
    is_over: bool = False


class ExportSignals:
    """SIGUSR1 asks for an export, and SIGTERM for a last one before the process ends. There is one in a process.

    Handlers belong to the main thread; what joins in another one is asked by no signal.
    """

    def __init__(self) -> None:
        self._listeners: list[SignalListener] = []
        self._before: dict[int, Any] = {}
        self._watch: SignalWatch | None = None
        self._stopping: _Stopping | None = None

    @property
    def is_stopping(self) -> bool:
        """Whether SIGTERM has come."""
        return self._stopping is not None

    def is_done(self) -> bool:
        """Whether SIGTERM has come, and all last exports have ended."""
        return self.is_stopping and all(listener.is_done() for listener in self._listeners)

    def add(self, listener: SignalListener) -> None:
        """Ask it from now on, and no one whose training is over. May be called again, in a session made anew."""
        if threading.current_thread() is not threading.main_thread():
            log.warning("no signals can be handled in a thread: SIGTERM ends this process without a last export")
            return
        is_new = listener not in self._listeners
        self._listeners = [one for one in self._listeners if one is not listener and not one.is_over()] + [listener]
        if self._watch is None:
            self._watch = SignalWatch(lambda number: self._hear(number) if self._handles(number) else None)
            for number in listener.signals:
                self._before[number] = signal.signal(number, self._handle)
        elif is_new and self.is_stopping:
            listener.ask(signal.SIGTERM.name)

    def remove(self, listener: SignalListener) -> None:
        """Ask it no more. Where it was the last one, signals do what they did before."""
        if listener in self._listeners:
            self._listeners.remove(listener)
            if not self._listeners and threading.current_thread() is threading.main_thread():
                self.restore()

    def restore(self) -> None:
        """Let signals do what they did before. Called in the main thread."""
        watch = self._watch
        self._forget()
        if watch is not None:
            watch.close()

    def leave_to_parent(self) -> None:
        """In a forked child, which trains nothing: let signals do what they did before."""
        if self._watch is not None:
            self._watch.leave()
        self._forget()

    def stop(self) -> None:
        """After the last exports: end this process as SIGTERM would have. Called in the main thread.

        Raises:
            SystemExit: unless there was a handler for it, which is called instead.
        """
        before, listeners = self._before.get(signal.SIGTERM), self._listeners
        self.restore()
        for listener in listeners:
            listener.tell()
        if callable(before):
            before(signal.SIGTERM, None)
        elif before != signal.SIG_IGN:
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # there is nothing left to export, and it would be fatal
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
        """In the main thread, when it comes back from C++."""
        if self._stopping is not None and self._stopping.last_word is not None:
            self._stopping.last_word()
        elif self._is_over():
            self._give_way(number)
        elif self._watch is not None and not (self._watch.hears() and self._handles(number)):
            self._hear(number)

    def _handles(self, number: int) -> bool:
        """Whether no handler was put before this one; that one decides whether it is called."""
        return signal.getsignal(number) == self._handle

    def _hear(self, number: int) -> None:
        """In the thread that watches; by the handler where another library has taken its place."""
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
            threading.Thread(target=self._end, args=(self._stopping,), name="stopping", daemon=True).start()

    def _end(self, stopping: _Stopping) -> None:
        """For the training that does not come to its next step."""
        end = stopping.since + max((listener.limit_secs for listener in self._listeners), default=0)
        steps_until: float | None = None
        while not stopping.is_impatient and (now := time.monotonic()) < min(end, steps_until or end):
            steps_until = (steps_until or now + NO_STEP_SECS) if self.is_done() else None
            time.sleep(_POLL_SECS)
            if stopping.is_over:
                return
        if stopping.is_impatient:
            log.error("a second SIGTERM: nothing is waited for any more")
        elif steps_until is None:
            log.error("the last export has not ended %g s after SIGTERM, and is given up", end - stopping.since)
        else:
            log.warning("training does not come to a step: the process ends all the same")
        if steps_until is None or stopping.is_impatient:
            self._end_here(stopping, lambda: self._give_way(signal.SIGTERM), IMPATIENT_SECS)
        else:
            self._end_here(stopping, self.stop, max(IMPATIENT_SECS, min(LAST_RESORT_SECS, end - time.monotonic())))

    def _end_here(self, stopping: _Stopping, last_word: Callable[[], None], patience_secs: float) -> None:
        """Let the main thread have the last word, or end this process where it does not hear."""
        stopping.last_word = last_word
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
        until = time.monotonic() + patience_secs
        while not stopping.is_over:
            if time.monotonic() > until:
                log.critical("training does not come back from TensorFlow: this process ends itself")
                logging.shutdown()
                os._exit(EXIT_STATUS_TERMINATED)
            time.sleep(_POLL_SECS)

    def _give_way(self, number: int) -> None:
        self.restore()
        os.kill(os.getpid(), number)


EXPORT_SIGNALS = ExportSignals()
os.register_at_fork(after_in_child=EXPORT_SIGNALS.leave_to_parent)
