"""The tasks of a job while they run.

One thread does everything but printing. It waits for events only: output of a task, the end of a process, a signal, a
deadline, a console that has room again.
"""

from __future__ import annotations

import enum
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence

from autodist_saved.cluster import Task
from autodist_saved.launch.printer import Printer
from autodist_saved.launch.process_group import ProcessGroup
from autodist_saved.launch.signals import FOR_THE_CHIEF, PASSED_ON
from autodist_saved.launch.streams import Streams

SETTLE_SECS = 1.0
"""Seconds after the first failure in which other tasks may fail by themselves, before the launcher stops them.

The cause may come second: a chief that fails informs the other tasks, and some end before the chief does.
"""

SAME_SIGNAL_SECS = 1.0
"""Seconds after which a second signal counts. ``timeout`` and closing terminals signal a process, then its group."""

_MOST_SIGNALS = 1024


class _Stage(enum.Enum):
    RUNNING = enum.auto()
    LINGERING = enum.auto()  # all work is done; parameter servers have time to end
    SETTLING = enum.auto()  # a task has failed; others have time to fail by themselves
    STOPPING = enum.auto()  # tasks have got a signal to end
    KILLED = enum.auto()


class RunningTasks:
    """The tasks of this machine. A context manager that leaves no process running. :func:`launch` uses it.

    Args:
        printer: where the tasks' output goes.
        signals: a socket that yields the number of every signal, one byte each.
        chief: its failure explains those of others. After a signal, other tasks go on until it has ended.
        grace_secs: seconds that tasks have to end: before SIGTERM, and again before SIGKILL.
        last_export_secs: more seconds for the chief after a signal.
        is_hidden: whether to show a line only among the last ones of a task that fails.
    """

    def __init__(
        self,
        printer: Printer,
        signals: socket.socket,
        *,
        chief: Task,
        grace_secs: float,
        last_export_secs: float,
        is_hidden: Callable[[str], bool],
    ) -> None:
        self._printer = printer
        self._signals = signals
        self._chief = chief
        self._grace_secs = grace_secs
        self._last_export_secs = last_export_secs
        self._groups: list[ProcessGroup] = []
        self._failed: list[ProcessGroup] = []  # those that failed by themselves, in this order
        self._stage = _Stage.RUNNING
        self._stopped_at = 0.0
        self._signum = signal.SIGTERM
        self._ending: list[ProcessGroup] = []  # have got the signal to end: at first perhaps only the chief
        self._patience_secs = 0.0
        self._deadline: float | None = None
        self._exit_status = 0
        self._selector = selectors.DefaultSelector()
        self._selector.register(signals, selectors.EVENT_READ, self._signalled)
        self._selector.register(printer.wakeup, selectors.EVENT_READ, self._printer_changed)
        self._streams = Streams(self._selector, printer, is_hidden)

    def __enter__(self) -> RunningTasks:
        return self

    def __exit__(self, *_: object) -> None:
        for group in self._groups:
            group.signal(signal.SIGKILL)
        for group in self._groups:
            group.reap(flags=0)
        self._streams.close()
        self._selector.close()

    def start(self, task: Task, command: Sequence[str], environ: Mapping[str, str]) -> None:
        """Start a task.

        Raises:
            LaunchError: the operating system refuses to run the command.
        """
        group = ProcessGroup(task, command, environ)
        self._groups.append(group)
        for pipe in group.pipes:
            self._streams.add(group.name, pipe)

    def supervise(self) -> int:
        """Wait until all tasks have ended. Returns the exit status of the job. Call it once."""
        while not all(group.is_empty for group in self._groups):
            if self._deadline is None:
                self._handle_events(None)
            elif (wait_secs := self._deadline - time.monotonic()) > 0:
                self._handle_events(wait_secs)
            else:
                self._deadline_passed()
        for _ in range(2):  # the last output, then the end of the streams
            while self._streams.is_held:
                self._handle_events(None)
            self._handle_events(0)
        if self._failed:
            self._exit_status = self._blame().shell_status
        return self._exit_status

    def _handle_events(self, wait_secs: float | None) -> None:
        if self._streams.is_held:  # until there is room, or nobody reads the console
            stuck_in_secs = self._printer.stuck_in_secs
            wait_secs = stuck_in_secs if wait_secs is None else min(wait_secs, stuck_in_secs)
        for key, _ in self._selector.select(wait_secs):
            key.data()
        self._streams.hold_or_go_on()

    # ---- events ------------------------------------------------------------------------------------------

    def _signalled(self) -> None:
        for signum in self._signals.recv(_MOST_SIGNALS):
            if signum == signal.SIGCHLD:
                self._children_ended()
            elif signum in PASSED_ON:
                self._pass_on(signal.Signals(signum))
            elif signum == FOR_THE_CHIEF:
                self._ask_chief()

    def _children_ended(self) -> None:
        for group in self._groups:
            group.reap()
        if self._is_stopped:
            if self._others_wait and all(group.is_empty for group in self._ending):
                self._stop(self._groups, self._grace_secs)
            return
        for group in self._groups:
            if group.status and group not in self._failed:
                self._failed.append(group)
                self._printer.say(f"{group.name} {group.ending}")
        if self._failed:
            if self._stage is not _Stage.SETTLING:
                self._wait(_Stage.SETTLING, SETTLE_SECS)
        elif self._stage is _Stage.RUNNING:
            working = [group for group in self._groups if group.task.type != "ps"] or self._groups
            if all(group.status == 0 for group in working):
                self._wait(_Stage.LINGERING, self._grace_secs)

    def _printer_changed(self) -> None:
        os.eventfd_read(self._printer.wakeup)
        if self._printer.is_closed and not self._is_stopped:
            # As for any program at the end of whose pipe nobody is left. The tasks themselves may end in order.
            self._exit_status = 128 + signal.SIGPIPE
            self._stop_chief_first(signal.SIGTERM)

    def _pass_on(self, signum: signal.Signals) -> None:
        if not self._is_stopped:
            self._exit_status = 128 + signum
            self._stop_chief_first(signum)
            whom = f"{self._chief}, and to the others when it has ended" if self._others_wait else "all tasks"
            self._printer.say(f"{signum.name} passed on to {whom}; a second one kills all tasks")
        elif time.monotonic() - self._stopped_at >= SAME_SIGNAL_SECS:
            self._kill(self._groups, f"second {signum.name}")

    def _ask_chief(self) -> None:
        chief = [group for group in self._groups if group.task == self._chief]
        if not chief:
            self._printer.say(f"{FOR_THE_CHIEF.name} is for {self._chief}, which runs on another machine")
        elif chief[0].ask(FOR_THE_CHIEF):
            self._printer.say(f"{FOR_THE_CHIEF.name} passed on to {self._chief}")
        else:
            self._printer.say(
                f"{FOR_THE_CHIEF.name} not passed on: {self._chief} does not handle it at this moment and would end"
            )

    def _deadline_passed(self) -> None:
        if self._is_stopped:
            self._kill(self._ending, f"not ended within {self._patience_secs:g} s")
        else:
            done = "the work is done; " if self._stage is _Stage.LINGERING else ""
            self._printer.say(f"{done}still running, so stopped: {_remaining(self._groups)}")
            self._stop(self._groups, self._grace_secs)

    # ---- consequences ------------------------------------------------------------------------------------

    @property
    def _is_stopped(self) -> bool:
        return self._stage in (_Stage.STOPPING, _Stage.KILLED)

    @property
    def _others_wait(self) -> bool:
        """Whether only the chief has got the signal to end."""
        return self._stage is _Stage.STOPPING and len(self._ending) < len(self._groups)

    def _wait(self, stage: _Stage, secs: float) -> None:
        self._stage = stage
        self._patience_secs = secs
        self._deadline = time.monotonic() + secs

    def _stop_chief_first(self, signum: signal.Signals) -> None:
        self._signum = signum
        chief = [group for group in self._groups if group.task == self._chief and not group.is_empty]
        self._stop(chief or self._groups, self._last_export_secs + self._grace_secs)

    def _stop(self, groups: list[ProcessGroup], secs: float) -> None:
        self._wait(_Stage.STOPPING, secs)
        self._stopped_at = self._stopped_at or time.monotonic()
        self._ending = groups
        for group in groups:
            group.signal(self._signum)

    def _kill(self, groups: Sequence[ProcessGroup], reason: str) -> None:
        for group in groups:
            group.signal(signal.SIGKILL)
        self._printer.say(f"{reason}: killed {_remaining(groups)}")
        if len(groups) == len(self._groups):
            self._stage = _Stage.KILLED
            self._deadline = None
        else:
            self._stop(self._groups, self._grace_secs)

    def _blame(self) -> ProcessGroup:
        """Name the task that made the others fail, and show its last lines if others hide them. Returns it."""
        # A signal never follows from another task's failure. Failures of others do follow from the chief's.
        culprit = min(self._failed, key=lambda group: (not group.ended_by_signal, group.task != self._chief))
        tail = self._streams.last_lines(culprit.name)
        if not tail:
            self._printer.say(f"{culprit.name} {culprit.ending} and wrote nothing")
        elif self._streams.are_in_sight(culprit.name):
            self._printer.say(f"{culprit.name} {culprit.ending}. Its last lines are above")
        else:
            self._printer.say(f"{culprit.name} {culprit.ending}. Its last lines:")
            self._printer.lines(culprit.name, tail)
        return culprit


def _remaining(groups: Sequence[ProcessGroup]) -> str:
    return ", ".join(group.name for group in groups if not group.is_empty)
