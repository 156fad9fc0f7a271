"""Start every local task of a cluster, show what they say, and end them together.

One thread does everything and only ever waits for events: output of a task, the end of a process, a signal,
a deadline. Nothing a task started is left behind, whichever way the job ends:

- Every task leads a process group of its own, which is signalled as a whole.
- The launcher inherits orphans (``PR_SET_CHILD_SUBREAPER``). So it knows when a group is empty, and a program
  that a shell started has its time to end although the shell is gone.
- The kernel kills a task when the launcher is killed (``PR_SET_PDEATHSIG``). What the task itself has started
  is out of reach then.
"""

from __future__ import annotations

import contextlib
import ctypes
import enum
import functools
import os
import selectors
import shutil
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from rich.console import Console

from autodist_saved.cluster import Cluster, Task
from autodist_saved.errors import LaunchError, Problem
from autodist_saved.task_output import Lines, TaskOutput

_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# `timeout` and a closing terminal signal a process and then its group: that is one signal, not two.
_SAME_SIGNAL_SECS = 1.0
_TAIL_LINES = 15
# What a pipe holds, so that one read takes all there is.
_READ_BYTES = 64 * 1024
_CHILD_ENVIRONMENT = {"PYTHONUNBUFFERED": "1", "COLUMNS": "100", "TF_CPP_MIN_LOG_LEVEL": "2"}

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None)


def launch(
    cluster: Cluster,
    command: Sequence[str],
    *,
    console: Console | None = None,
    grace_secs: float = 5.0,
    environ: Mapping[str, str] | None = None,
) -> int:
    """Run ``command`` once for every task of the cluster that belongs to this machine, until the job is over.

    Called by ``autodist-saved launch``, in the main thread, since it handles SIGINT, SIGTERM and SIGHUP.
    Every task gets its ``TF_CONFIG``, an empty standard input and a process group of its own.

    The job is over when all tasks have ended. Parameter servers, and whatever a task left running in the
    background, are stopped ``grace_secs`` after all other tasks have ended well. When a task fails, the
    others are stopped. A signal is passed on to all tasks; a second one kills them.

    Args:
        cluster: the job; ports 0 in it are chosen here.
        command: program and arguments.
        console: where the tasks' output goes, standard output by default.
        grace_secs: seconds that tasks have to end by themselves, before SIGTERM and again before SIGKILL.
        environ: environment of the tasks, this process's own by default.

    Returns:
        0 when all tasks ended well; else the exit status of the first that failed, as a shell has it
        (128 + n for signal n); 128 + n after signal n.

    Raises:
        LaunchError: no task belongs to this machine, or the command cannot be run. Nothing was started.
    """
    environ = os.environ if environ is None else environ
    tasks = cluster.local_tasks()
    if problems := [*_cluster_problems(cluster, tasks), *_command_problems(command, environ)]:
        raise LaunchError("the job cannot be started", problems=problems)
    cluster = cluster.with_free_ports()
    output = TaskOutput(console or Console(), [str(task) for task in tasks])
    with output, _signal_numbers() as signals, _inherited_orphans(), _Job(output, signals, grace_secs) as job:
        elsewhere = len(cluster.tasks) - len(tasks)
        rest = f"; {elsewhere} more belong to other machines" if elsewhere else ""
        output.say(f"starting {_named(tasks)}{rest}")
        for task in tasks:
            job.start(task, command, {**_CHILD_ENVIRONMENT, **environ, "TF_CONFIG": cluster.tf_config(task)})
        return job.supervise()


class _Stage(enum.Enum):
    RUNNING = enum.auto()
    LINGERING = enum.auto()  # all work is done; parameter servers may end by themselves
    STOPPING = enum.auto()  # told to end
    KILLED = enum.auto()


class _Group:
    """The process group of one task: its leader, which was started here, and whatever that started."""

    def __init__(self, task: Task, leader: subprocess.Popen[bytes]) -> None:
        self.task = task
        self.name = str(task)
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self.is_empty = False
        self._leader = leader

    @property
    def status(self) -> int | None:
        """Exit status of the leader, negative for a signal; None as long as it runs."""
        return self._leader.returncode

    @property
    def ending(self) -> str:
        """How the leader, which has ended, did so."""
        status = self._leader.returncode
        if status >= 0:
            return f"failed with exit status {status}"
        try:
            return f"was ended by {signal.Signals(-status).name}"
        except ValueError:  # a real-time signal
            return f"was ended by signal {-status}"

    def reap(self, flags: int = os.WNOHANG) -> None:
        """Take note of those that have ended; with ``flags=0``, wait until all have."""
        while not self.is_empty:
            try:
                ended = os.waitid(os.P_PGID, self._leader.pid, os.WEXITED | flags)
            except ChildProcessError:
                self.is_empty = True
                return
            if ended is None:
                return
            if ended.si_pid == self._leader.pid:
                exited = ended.si_code == os.CLD_EXITED
                self._leader.returncode = ended.si_status if exited else -ended.si_status

    def signal(self, signum: int) -> None:
        # A group with a member that was not reaped yet keeps its number, so this reaches no stranger.
        if not self.is_empty:
            os.killpg(self._leader.pid, signum)


class _Job:
    """The running tasks. A context manager that leaves no process behind."""

    def __init__(self, output: TaskOutput, signals: socket.socket, grace_secs: float) -> None:
        self._output = output
        self._signals = signals
        self._grace_secs = grace_secs
        self._groups: list[_Group] = []
        self._stage = _Stage.RUNNING
        self._stopped_at = 0.0
        self._deadline: float | None = None
        self._exit_status = 0
        self._failed: _Group | None = None
        self._selector = selectors.DefaultSelector()
        self._selector.register(signals, selectors.EVENT_READ, self._signalled)

    def __enter__(self) -> _Job:
        return self

    def __exit__(self, *_: object) -> None:
        for group in self._groups:
            group.signal(signal.SIGKILL)
        for group in self._groups:
            group.reap(flags=0)
        for key in list(self._selector.get_map().values()):
            if key.fileobj is not self._signals:
                self._close(key.fileobj)
        self._selector.close()

    def start(self, task: Task, command: Sequence[str], environ: Mapping[str, str]) -> None:
        """Start a task.

        Raises:
            LaunchError: the operating system does not run the command.
        """
        try:
            leader = subprocess.Popen(
                command,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
                preexec_fn=functools.partial(_before_exec, os.getpid()),
            )
        except OSError as error:
            fix = "check that the program runs on this machine; a script needs a first line such as `#!/bin/sh`"
            problem = Problem("COMMAND", f"{command[0]!r} cannot be run: {error.strerror}", fix)
            raise LaunchError("the job cannot be started", problems=[problem]) from error
        group = _Group(task, leader)
        self._groups.append(group)
        for pipe in (leader.stdout, leader.stderr):
            if pipe is not None:
                reader = functools.partial(self._read, group, pipe, Lines())
                self._selector.register(pipe, selectors.EVENT_READ, reader)

    def supervise(self) -> int:
        """Wait until all tasks have ended and return the exit status of the job. Called once."""
        while not all(group.is_empty for group in self._groups):
            if self._deadline is None:
                self._handle_events(None)
            elif (wait_secs := self._deadline - time.monotonic()) > 0:
                self._handle_events(wait_secs)
            else:
                self._deadline_passed()
        for _ in range(2):  # what the last ones wrote, then the end of their streams
            self._handle_events(0)
        if self._failed is not None:
            self._show_failure(self._failed)
        return self._exit_status

    def _handle_events(self, wait_secs: float | None) -> None:
        for key, _ in self._selector.select(wait_secs):
            key.data()

    # ---- events ------------------------------------------------------------------------------------------

    def _read(self, group: _Group, pipe: IO[bytes], lines: Lines) -> None:
        before = lines.progress
        data = os.read(pipe.fileno(), _READ_BYTES)
        whole = lines.feed(data) if data else lines.close()
        group.tail.extend(whole)
        self._output.lines(group.name, whole)
        if (progress := lines.progress) != before:
            self._output.progress(group.name, progress)
        if not data:
            self._close(pipe)

    def _close(self, pipe: Any) -> None:
        self._selector.unregister(pipe)
        pipe.close()

    def _signalled(self) -> None:
        for signum in self._signals.recv(_READ_BYTES):
            if signum == signal.SIGCHLD:
                self._children_ended()
            elif signum in _PASSED_ON:
                self._pass_on(signal.Signals(signum))

    def _children_ended(self) -> None:
        for group in self._groups:
            group.reap()
        if self._stage not in (_Stage.RUNNING, _Stage.LINGERING):
            return
        for group in self._groups:
            if group.status:
                self._failed = group
                self._exit_status = group.status if group.status > 0 else 128 - group.status
                others = f"; stopping {remaining}" if (remaining := self._remaining()) else ""
                self._output.say(f"{group.name} {group.ending}{others}")
                self._stop(signal.SIGTERM)
                return
        if self._stage is _Stage.RUNNING:
            working = [group for group in self._groups if group.task.type != "ps"] or self._groups
            if all(group.status == 0 for group in working):
                self._stage = _Stage.LINGERING
                self._deadline = time.monotonic() + self._grace_secs

    def _pass_on(self, signum: signal.Signals) -> None:
        if self._stage in (_Stage.RUNNING, _Stage.LINGERING):
            self._exit_status = 128 + signum
            self._stop(signum)
            self._output.say(f"{signum.name} passed on to all tasks; once more kills them")
        elif time.monotonic() - self._stopped_at >= _SAME_SIGNAL_SECS:
            self._kill(f"{signum.name} again")

    def _deadline_passed(self) -> None:
        if self._stage is _Stage.LINGERING:
            self._output.say(f"the work is done; stopping {self._remaining()}, still running")
            self._stop(signal.SIGTERM)
        else:
            self._kill(f"not ended within {self._grace_secs:g} s")

    # ---- consequences ------------------------------------------------------------------------------------

    def _stop(self, signum: signal.Signals) -> None:
        self._stage = _Stage.STOPPING
        self._stopped_at = time.monotonic()
        self._deadline = self._stopped_at + self._grace_secs
        for group in self._groups:
            group.signal(signum)

    def _kill(self, reason: str) -> None:
        self._stage = _Stage.KILLED
        self._deadline = None
        for group in self._groups:
            group.signal(signal.SIGKILL)
        self._output.say(f"{reason}: killed {self._remaining()}")

    def _remaining(self) -> str:
        return _named([group.task for group in self._groups if not group.is_empty])

    def _show_failure(self, group: _Group) -> None:
        if group.tail:
            self._output.say(f"{group.name} {group.ending}. Its last lines:")
            self._output.lines(group.name, group.tail)
        else:
            self._output.say(f"{group.name} {group.ending} and had written nothing")


# ---- what the processes need of the operating system ---------------------------------------------------


def _before_exec(launcher_pid: int) -> None:
    """Runs in the child, between fork and exec."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != launcher_pid:  # it died before the kernel knew that this matters
        os.kill(os.getpid(), signal.SIGKILL)


@contextlib.contextmanager
def _inherited_orphans() -> Iterator[None]:
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


@contextlib.contextmanager
def _signal_numbers() -> Iterator[socket.socket]:
    """A socket that yields the number of every signal that arrives, one byte each."""
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    # A job started under nohup goes on when its terminal closes.
    handled = [
        signum
        for signum in (*_PASSED_ON, signal.SIGCHLD)
        if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN
    ]
    with receiver, sender, contextlib.ExitStack() as restored:
        wakeup = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        restored.callback(signal.set_wakeup_fd, wakeup)
        for signum in handled:
            restored.callback(signal.signal, signum, signal.signal(signum, lambda *_: None))
        yield receiver


# ---- words -----------------------------------------------------------------------------------------------


def _cluster_problems(cluster: Cluster, tasks: Sequence[Task]) -> Iterator[Problem]:
    if not tasks:
        hosts = {address.rpartition(":")[0] for row in cluster.addresses.values() for address in row}
        yield Problem(
            "CONFIG",
            f"its tasks belong to {', '.join(sorted(hosts))}, and this machine is {', '.join(_own_names())}",
            "run the command on those machines, or give this machine's name or address to some tasks",
        )


def _own_names() -> list[str]:
    host = socket.gethostname()
    with contextlib.suppress(OSError):
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        return list(dict.fromkeys([host, socket.getfqdn(), *(str(info[4][0]) for info in found)]))
    return [host]


def _command_problems(command: Sequence[str], environ: Mapping[str, str]) -> Iterator[Problem]:
    if not command:
        yield Problem("COMMAND", "it is missing", "write it behind `--`, such as: -- python train.py")
        return
    program = command[0]
    if shutil.which(program, path=environ.get("PATH")) is not None:
        return
    if Path(program).is_file():
        fix = f"make it executable (chmod +x {program}), or name what runs it: python {program}"
        yield Problem("COMMAND", f"{program!r} is not executable", fix)
    else:
        fix = f"check the spelling; a relative path begins at {Path.cwd()}"
        place = "there is no such file" if "/" in program else "no directory in PATH holds such a program"
        yield Problem("COMMAND", f"{program!r} cannot be run: {place}", fix)


def _named(tasks: Sequence[Task]) -> str:
    return ", ".join(map(str, tasks))
