"""The memory of this process, from ``/proc``."""

from __future__ import annotations

from pathlib import Path

MIB = 2**20


class PeakGrowth:
    """How far this process grows beyond what it holds now, at its highest."""

    def __init__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak
        self._held = _field("VmRSS")

    def mib(self) -> float:
        """MiB from where it was to its peak."""
        return max(0, _field("VmHWM") - self._held) / MIB


def _field(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise KeyError(name)
