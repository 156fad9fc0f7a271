"""What a task that is not the chief does on SIGUSR1 and SIGTERM: the chief exports, and this task helps."""

from __future__ import annotations

import logging
import math
import signal
import threading
import time

from autodist_saved.cluster import Cluster
from autodist_saved.control.member_client import MemberClient
from autodist_saved.system.signals import EXPORT_SIGNALS, NO_STEP_SECS, SignalListener

log = logging.getLogger(__name__)


class MemberSignals:
    """Handles signals in a member of a job. A scheduler may send them to all tasks at once.

    On SIGTERM the chief exports once more, and needs the other tasks for that. So they end when the chief has ended
    the job, or is gone. A member ignores SIGUSR1, unless its program has a handler for it.
    """

    def __init__(self, cluster: Cluster, membership: MemberClient, sigterm_secs: float) -> None:
        """Handles nothing yet.

        Args:
            cluster: the job.
            membership: of this task.
            sigterm_secs: how long this task goes on after SIGTERM at most.
        """
        self._cluster = cluster
        self._membership = membership
        self._sigterm_secs = sigterm_secs
        self._until = math.inf
        self._has_ended = False
        # Without a handler SIGUSR1 would end the process, and the job with it, instead of exporting.
        is_free = signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
        self._exporter = SignalListener(
            ask=self._hear,
            # A member cannot know whether the chief has the signal, too. Where it has none, this one waits in vain.
            is_done=lambda: not membership.has_chief or time.monotonic() > self._until,
            report_failures=lambda: None,
            limit_secs=sigterm_secs + NO_STEP_SECS,
            is_over=lambda: False,
            signals=(signal.SIGTERM, signal.SIGUSR1) if is_free else (signal.SIGTERM,),
        )

    def heed(self) -> None:
        """Handle the signals from now on. May be called again. Called in the main thread, as Python demands."""
        EXPORT_SIGNALS.add(self._exporter)

    def end_if_told(self) -> None:
        """After SIGTERM, to this task or to the chief, when the chief needs this task no more: end it, too.

        Called again and again by the thread that trains, or serves. Does nothing in other threads than the main one.

        Raises:
            SystemExit: unless the program had a handler for SIGTERM, which is called instead.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        if self._membership.is_terminated and not EXPORT_SIGNALS.is_stopping and not self._has_ended:
            self._has_ended = True  # a handler of the program's own may let it go on
            log.warning("%s ends: %s has received SIGTERM and ended the job", self._cluster.task, self._cluster.chief)
            EXPORT_SIGNALS.stop()
        elif EXPORT_SIGNALS.is_done():
            EXPORT_SIGNALS.stop()

    def forget(self) -> None:
        """Give the signals back their handlers of before."""
        EXPORT_SIGNALS.remove(self._exporter)

    def _hear(self, name: str) -> None:
        """In the thread that watches for signals."""
        task, chief = self._cluster.task, self._cluster.chief
        if name == signal.SIGUSR1.name:
            address = self._cluster.address(chief)
            log.warning("%s ignores SIGUSR1: for an export send it to %s (%s)", task, chief, address)
            return
        self._until = time.monotonic() + self._sigterm_secs
        log.warning(
            "SIGTERM: %s goes on until %s has ended the job, %g s at the most; once more ends it now",
            task,
            chief,
            self._sigterm_secs,
        )
