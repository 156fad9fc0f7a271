"""Where the kernel knows a process: what a task says of itself, so that others can ask the kernel about it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

# Fields of /proc/PID/stat behind the name of the program, which may hold blanks and parentheses.
_START_TIME_FIELD = 19


@dataclass(frozen=True)
class ProcessIdentity:
    """One process of one machine.

    Attributes:
        pid: in its own namespace.
        started: clock ticks from the start of the machine to that of the process.
        machine: boot and namespaces. The same for two processes that see each other under these pids; empty where
            that cannot be known. Copies of one virtual machine share it.
    """

    pid: int
    started: int = 0
    machine: str = ""

    @classmethod
    def of_this_process(cls) -> ProcessIdentity:
        """Where this process cannot ask the kernel, without ``machine``: nobody can tell its end then."""
        pid = os.getpid()
        started = start_time(pid)
        try:
            # In some containers /proc is that of another namespace, with other pids.
            if started is None or os.readlink("/proc/self") != str(pid):  # noqa: PTH115 - the text itself is meant
                return cls(pid)
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
            spaces = [os.readlink(f"/proc/self/ns/{kind}") for kind in ("pid", "time")]  # noqa: PTH115 - likewise
        except OSError:
            return cls(pid)
        return cls(pid, started, f"{boot} {' '.join(spaces)}")


def start_time(pid: int) -> int | None:
    """Clock ticks from the start of the machine to that of a process; None where the kernel does not tell."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        return int(stat.rpartition(")")[2].split()[_START_TIME_FIELD])
    except (OSError, IndexError, ValueError):
        return None
