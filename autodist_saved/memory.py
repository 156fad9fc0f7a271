"""The memory of a process: what it takes now, and how far it has grown."""

from __future__ import annotations

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
