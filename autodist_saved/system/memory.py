"""The memory of this process, now and at its peak, and the memory that is free. Linux only."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.filesize import decimal

_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class TaskMemory:
    """The memory that an export took on one task, in bytes; None for a value that is not known.

    Attributes:
        resident: resident memory of the process: of the chief when the export began, of a parameter server when it
            had staged.
        staged: the part of it that holds copies of variables; None if the variables were parked.
        grown: how far the peak was above ``resident``. The kernel keeps one peak for the whole life of a process, so
            this is not known if the process had been larger before.
    """

    resident: int | None
    staged: int | None = None
    grown: int | None = None

    def __str__(self) -> str:
        staged = f", {decimal(self.staged)} staged" if self.staged else ""
        grown = "" if self.grown is None else f", grown by {decimal(self.grown)}"
        resident = "not known" if self.resident is None else decimal(self.resident)
        return f"{resident}{staged}{grown}"


class MemoryGrowth:
    """Measures how far this process grows after the object was made."""

    def __init__(self) -> None:
        self._resident, self._peak = resident_bytes(), peak_bytes()

    def measure(self) -> TaskMemory:
        """The resident memory at the beginning, and the growth until now."""
        peak = peak_bytes()
        if self._resident is None or self._peak is None or peak is None or peak <= self._peak:
            return TaskMemory(self._resident)
        return TaskMemory(self._resident, grown=peak - self._resident)


def resident_bytes() -> int | None:
    """Resident memory of this process now, in bytes; None if the system does not report it."""
    return _bytes_of("VmRSS:")


def peak_bytes() -> int | None:
    """Peak resident memory of this process, in bytes; None if the system does not report it.

    The peak counts from the start of the process, or from the last reset (``/proc/self/clear_refs``).
    """
    return _bytes_of("VmHWM:")


def _bytes_of(field: str) -> int | None:
    try:
        lines = [line.split() for line in _STATUS.read_text().splitlines()]
    except OSError:
        return None
    return next((int(words[1]) * 1024 for words in lines if words[:1] == [field]), None)


# Files of a control group, for each of the two versions: its limit, its use, and the field of memory.stat that counts
# the part of the use that the kernel frees when a process needs it.
_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_V2 = ("memory.max", "memory.current", "inactive_file")


def free_bytes(proc: Path = Path("/proc"), control_groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that this process may still allocate: what the machine and the limits of control groups leave it.

    Args:
        proc: where the kernel's files about processes are.
        control_groups: where the control groups are mounted.

    Raises:
        OSError, KeyError: the system is not Linux, or does not report it.
    """
    available = _fields(proc / "meminfo")["MemAvailable:"] * 1024
    return min([available, *_left_in_groups(proc / "self" / "cgroup", control_groups)])


def _left_in_groups(membership: Path, control_groups: Path) -> Iterator[int]:
    for line in membership.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            roots, files = [control_groups, control_groups / "unified"], _V2
        elif "memory" in controllers.split(","):
            roots, files = [control_groups / "memory"], _V1
        else:
            continue
        for root in roots:
            # A limit also holds for the groups inside. In a container the path may be the one outside the container.
            group = root / path.lstrip("/")
            for place in (group, *group.parents):
                yield from _left_in(place, *files)
                if place == root:
                    break


def _left_in(group: Path, limit: str, use: str, reclaimable: str) -> Iterator[int]:
    # The root group has no such files, and the path does not exist if it is the one outside the container.
    with contextlib.suppress(FileNotFoundError):
        most = (group / limit).read_text().strip()
        if most != "max":
            yield int(most) - int((group / use).read_text()) + _fields(group / "memory.stat")[reclaimable]


def _fields(path: Path) -> dict[str, int]:
    return {words[0]: int(words[1]) for words in map(str.split, path.read_text().splitlines())}
