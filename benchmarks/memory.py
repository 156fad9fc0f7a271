"""The memory of this process, from ``/proc``."""

from __future__ import annotations

from pathlib import Path

from autodist_saved.system.memory import peak_bytes, resident_bytes

MIB = 2**20


class PeakGrowth:
    """How far this process grows beyond what it holds now, at its highest."""

    def __init__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak
        self._held = resident_bytes() or 0

    def mib(self) -> float:
        """MiB from where it was to its peak."""
        return max(0, (peak_bytes() or 0) - self._held) / MIB
