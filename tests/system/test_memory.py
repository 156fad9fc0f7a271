"""What a process takes, as the kernel says it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from autodist_saved.system import memory
from autodist_saved.system.memory import MemoryGrowth, TaskMemory, peak_bytes, resident_bytes

# In a process of its own: this one may have been larger before.
PROGRAM = """
from autodist_saved.system.memory import MemoryGrowth
first = MemoryGrowth()
held = bytearray(b"x") * 2**26
del held
second = MemoryGrowth()
print(first.measure().grown, second.measure().grown)
"""


def test_a_process_takes_no_more_than_it_has_ever_taken() -> None:
    resident, highest = resident_bytes(), peak_bytes()
    assert resident is not None
    assert highest is not None
    assert 2**20 < resident <= highest


def test_growth_is_known_where_the_process_was_never_larger_before() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    first, second = done.stdout.split()
    assert 0.9 * 2**26 < int(first) < 2**27, "the kernel counts pages in batches"
    assert second == "None"


@pytest.mark.parametrize("contents", [None, "Name:\tpython\n\n"])
def test_where_the_system_does_not_tell_nothing_is_known_and_nothing_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, contents: str | None
) -> None:
    status = tmp_path / "status"
    if contents is not None:
        status.write_text(contents)
    monkeypatch.setattr(memory, "_STATUS", status)
    assert MemoryGrowth().measure() == TaskMemory(None)
    assert str(TaskMemory(None)) == "not known"
