"""The processes of one task: a leader, which the launcher starts, and all that it starts in turn.

No process survives the job, however that ends:

- Every task leads a process group of its own. A signal goes to the whole group.
- The launcher inherits orphans (``PR_SET_CHILD_SUBREAPER``). So it knows when a group is empty, and a program
  that a shell started has its time to end although the shell is gone.
- The kernel kills a task when the launcher dies (``PR_SET_PDEATHSIG``). It does not kill what the task has started.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from autodist_saved.cluster import Task
from autodist_saved.errors import LaunchError, Problem

# Through ctypes: python-prctl has to be compiled where it is installed.
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None)


class ProcessGroup:
    """The running processes of a task. ``RunningTasks`` makes and uses it, in one thread.

    Attributes:
        task: the task.
        name: its name, such as ``ps:0``.
        pipes: standard output and standard error. The reader closes them.
        is_empty: whether all processes have ended; :meth:`reap` updates it.

    Raises:
        LaunchError: the operating system refuses to run the command.
    """

    def __init__(self, task: Task, command: Sequence[str], environ: Mapping[str, str]) -> None:
        try:
            self._leader = subprocess.Popen(
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
        self.task = task
        self.name = str(task)
        self.pipes: list[IO[bytes]] = [
            pipe for pipe in (self._leader.stdout, self._leader.stderr) if pipe is not None
        ]
        self.is_empty = False

    @property
    def status(self) -> int | None:
        """Exit status of the leader: negative for a signal, None while it runs."""
        return self._leader.returncode

    @property
    def ended_by_signal(self) -> bool:
        """Whether a signal ended the leader."""
        return self.status is not None and self.status < 0

    @property
    def shell_status(self) -> int:
        """Exit status of the leader as a shell counts it: 128 + n for signal n. The leader must have ended."""
        status = self._leader.returncode
        return status if status >= 0 else 128 - status

    @property
    def ending(self) -> str:
        """How the leader ended, in words. It must have ended."""
        status = self._leader.returncode
        if status >= 0:
            return f"failed with exit status {status}"
        try:
            return f"was ended by {signal.Signals(-status).name}"
        except ValueError:  # a real-time signal
            return f"was ended by signal {-status}"

    def reap(self, flags: int = os.WNOHANG) -> None:
        """Collect the processes that have ended. With ``flags=0``, wait until all have."""
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
        """Send a signal to all processes that still run."""
        # The kernel reuses no number of a group whose processes are not all reaped, so this reaches no stranger.
        if not self.is_empty:
            os.killpg(self._leader.pid, signum)

    def ask(self, signum: int) -> bool:
        """Send a signal to the processes that have a handler for it. Returns whether there are any.

        It would end all others: a shell that waits for its program, or a program that does not train yet.
        """
        handling = [pid for pid in self._pids() if _handles(pid, signum)]
        for pid in handling:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signum)
        return bool(handling)

    def _pids(self) -> Iterator[int]:
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(ProcessLookupError):
                if os.getpgid(int(entry.name)) == self._leader.pid:
                    yield int(entry.name)


@contextlib.contextmanager
def inherited_orphans() -> Iterator[None]:
    """In this scope, descendants whose parent has ended become children of this process."""
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _handles(pid: int, signum: int) -> bool:
    """Whether a process has a handler for a signal. Read from the kernel: psutil does not say it."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (signum - 1) & 1)
    return False


def _before_exec(launcher_pid: int) -> None:
    """Runs in the child process, between fork and exec."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != launcher_pid:  # the launcher died before prctl, so the kernel sends nothing
        os.kill(os.getpid(), signal.SIGKILL)
