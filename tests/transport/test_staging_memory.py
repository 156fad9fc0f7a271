"""Memory for copies: taken, touched, kept warm if asked, and otherwise gone."""

from __future__ import annotations

import gc
import mmap
import weakref
from pathlib import Path

import numpy as np
import pytest

from autodist_saved.system.memory import free_bytes
from autodist_saved.transport.staging_memory import StagingMemory

MIB = 2**20


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


def test_what_is_taken_was_touched_already() -> None:
    memory, before = StagingMemory(), _resident_bytes()
    buffer = memory.take(64 * MIB)
    assert _resident_bytes() - before > 60 * MIB
    assert buffer.nbytes >= 64 * MIB
    buffer[-1] = 1


@pytest.mark.parametrize("nbytes", [0, 1, mmap.PAGESIZE + 1])
def test_any_size_can_be_taken(nbytes: int) -> None:
    assert StagingMemory().take(nbytes).nbytes >= nbytes


@pytest.mark.parametrize("keep", [False, True])
def test_what_is_given_back_is_freed_unless_it_is_to_be_kept(keep: bool) -> None:
    memory = StagingMemory()
    buffer = memory.take(MIB)
    mapping = weakref.ref(buffer.base.obj)
    memory.give_back(buffer, keep=keep)
    del buffer
    gc.collect()
    assert (mapping() is not None) == keep
    assert memory.kept_bytes == (MIB if keep else 0)


def test_what_is_kept_is_used_again_by_whom_it_fits_and_by_one_at_a_time() -> None:
    memory = StagingMemory()
    large, small = memory.take(4 * MIB), memory.take(2 * MIB)
    for buffer in (large, small):
        memory.give_back(buffer, keep=True)
    assert memory.take(MIB) is small
    assert memory.take(MIB) is large
    assert memory.take(MIB) is not large


def test_what_is_kept_makes_room_for_more() -> None:
    memory = StagingMemory()
    memory.give_back(memory.take(MIB), keep=True)
    larger = memory.take(2 * MIB)
    assert memory.kept_bytes == 0
    memory.give_back(larger, keep=True)
    assert memory.kept_bytes == 2 * MIB


def test_it_fits_what_is_free_with_a_margin_or_is_kept() -> None:
    memory = StagingMemory(lambda: 10 * MIB)
    assert memory.fits(8 * MIB)
    assert not memory.fits(9 * MIB)
    memory.give_back(memory.take(20 * MIB), keep=True)
    assert memory.fits(28 * MIB)
    assert not memory.fits(29 * MIB)


def test_memory_that_the_system_does_not_have_is_refused() -> None:
    with pytest.raises(OSError, match="Cannot allocate memory"):
        StagingMemory().take(2**60)


class _Machine:
    """Files as Linux shows them."""

    def __init__(self, folder: Path, groups: str) -> None:
        self.proc, self.groups = folder / "proc", folder / "cgroup"
        (self.proc / "self").mkdir(parents=True)
        (self.proc / "meminfo").write_text("MemTotal:  2000 kB\nMemAvailable:  1000 kB\nHugePages_Total:  0\n")
        (self.proc / "self" / "cgroup").write_text(groups)

    def limit(self, group: str, version: int, limit: str, use: int, reclaimable: int) -> None:
        place = self.groups / group
        place.mkdir(parents=True, exist_ok=True)
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        limit_name, use_name, field = names if version == 1 else ("memory.max", "memory.current", "inactive_file")
        (place / limit_name).write_text(limit + "\n")
        (place / use_name).write_text(f"{use}\n")
        (place / "memory.stat").write_text(f"anon 1\n{field} {reclaimable}\n")

    def free_bytes(self) -> int:
        return free_bytes(self.proc, self.groups)


def test_what_the_machine_has_is_free_without_a_limit(tmp_path: Path) -> None:
    machine = _Machine(tmp_path, "0::/a\n")
    assert machine.free_bytes() == 1000 * 1024
    machine.limit("a", 2, "max", 700, 0)
    assert machine.free_bytes() == 1000 * 1024


def test_the_tightest_group_decides(tmp_path: Path) -> None:
    machine = _Machine(tmp_path, "0::/a/b\n")
    machine.limit("a", 2, "5000", 4000, 100)
    assert machine.free_bytes() == 1100
    machine.limit("a/b", 2, "2000", 1500, 300)
    assert machine.free_bytes() == 800
    machine.limit("a/b", 2, "4000", 1500, 300)
    assert machine.free_bytes() == 1100


@pytest.mark.parametrize("path", ["/job/one", "/of/the/machine/outside"])
def test_groups_of_the_first_version_count_too(tmp_path: Path, path: str) -> None:
    machine = _Machine(tmp_path, f"5:cpu:/\n4:memory:{path}\n0::/\n")
    machine.limit("memory", 1, "9223372036854771712", 5000, 0)
    assert machine.free_bytes() == 1000 * 1024
    machine.limit("memory", 1, "6000", 5000, 500)
    assert machine.free_bytes() == 1500
    machine.limit("memory/job/one", 1, "3000", 2900, 0)
    assert machine.free_bytes() == (100 if path == "/job/one" else 1500)


def test_this_machine_can_be_asked() -> None:
    assert np.iinfo(np.int64).max > free_bytes() > MIB
