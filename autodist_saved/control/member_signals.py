"""What a task that is not the chief does on SIGUSR1 and SIGTERM: it leaves both to the chief."""

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
    """Signals to a member of a job, which may be sent to all of its tasks at once.

    The chief exports once more on SIGTERM, and needs the others for that: they end when it has ended the job, or is
    gone. SIGUSR1 is ignored, unless the program has said what to do on it.
    """

    def __init__(self, cluster: Cluster, membership: MemberClient, sigterm_secs: float) -> None:
        """Handles nothing yet.

        Args:
            cluster: the job.
            membership: of this task.
            sigterm_secs: how long it goes on after SIGTERM at the most.
        """
        self._cluster = cluster
        self._membership = membership
        self._sigterm_secs = sigterm_secs
        self._until = math.inf
        is_free = signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
        self._exporter = SignalListener(
            ask=self._hear,
            is_done=lambda: not membership.has_chief or time.monotonic() > self._until,
            report_failures=lambda: None,
            limit_secs=sigterm_secs + NO_STEP_SECS,
            is_over=lambda: False,
            signals=(signal.SIGTERM, signal.SIGUSR1) if is_free else (signal.SIGTERM,),
        )

    def heed(self) -> None:
        """Handle them from now on. May be called again. Called in the main thread."""
        EXPORT_SIGNALS.add(self._exporter)

    def end_if_told(self) -> None:
        """After SIGTERM, when the chief needs this task no more: end it as SIGTERM would have.

        Raises ``SystemExit``, unless there was a handler for SIGTERM, which is called. Does nothing but in the main
        thread.
        """
        if EXPORT_SIGNALS.is_done() and threading.current_thread() is threading.main_thread():
            EXPORT_SIGNALS.stop()

    def forget(self) -> None:
        """Let signals do what they did before."""
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
