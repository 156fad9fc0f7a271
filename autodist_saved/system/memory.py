"""The memory of a process: what it takes now, and how far it has grown."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.filesize import decimal

_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class TaskMemory:
    """What an export took on one task, in bytes; None for what is not known there.

    Attributes:
        resident: memory that the process had: the chief when the export began, a parameter server when it had staged.
        staged: of that, copies of variables; none where they were parked.
        grown: how far the process grew beyond ``resident`` at its highest. The kernel keeps one peak for a process,
            so this is not known where it had been higher before.
    """

    resident: int | None
    staged: int | None = None
    grown: int | None = None

    def __str__(self) -> str:
        staged = f", {decimal(self.staged)} staged" if self.staged else ""
        grown = "" if self.grown is None else f", grown by {decimal(self.grown)}"
        resident = "not known" if self.resident is None else decimal(self.resident)
        return f"{resident}{staged}{grown}"


class Growth:
    """How far this process grows from now on."""

    def __init__(self) -> None:
        self._resident, self._highest = resident_bytes(), highest_bytes()

    def so_far(self) -> TaskMemory:
        """What it had, and its growth."""
        highest = highest_bytes()
        if self._resident is None or self._highest is None or highest is None or highest <= self._highest:
            return TaskMemory(self._resident)
        return TaskMemory(self._resident, grown=highest - self._resident)


def resident_bytes() -> int | None:
    """Memory that this process takes now; None where the system does not tell."""
    return _bytes_of("VmRSS:")


def highest_bytes() -> int | None:
    """The most that this process has taken since it began, or since somebody has reset the mark; None likewise."""
    return _bytes_of("VmHWM:")


def _bytes_of(field: str) -> int | None:
    try:
        lines = [line.split() for line in _STATUS.read_text().splitlines()]
    except OSError:
        return None
    return next((int(words[1]) * 1024 for words in lines if words[:1] == [field]), None)


# Files of a control group, for each of the two versions: limit, use, and what is used but given up when needed.
_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_V2 = ("memory.max", "memory.current", "inactive_file")


def free_bytes(proc: Path = Path("/proc"), control_groups: Path = Path("/sys/fs/cgroup")) -> int:
    """What the machine has available, or less, where a control group of this process has a limit. Linux alone."""
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
            # A limit holds for all groups within. In a container the path may be that of the machine outside.
            group = root / path.lstrip("/")
            for place in (group, *group.parents):
                yield from _left_in(place, *files)
                if place == root:
                    break


def _left_in(group: Path, limit: str, use: str, reclaimable: str) -> Iterator[int]:
    # There are no such files at a root, nor where the path is that of another machine.
    with contextlib.suppress(FileNotFoundError):
        most = (group / limit).read_text().strip()
        if most != "max":
            yield int(most) - int((group / use).read_text()) + _fields(group / "memory.stat")[reclaimable]


def _fields(path: Path) -> dict[str, int]:
    return {words[0]: int(words[1]) for words in map(str.split, path.read_text().splitlines())}
