"""How much memory a process may still take."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

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
