"""What a process takes, as the kernel says it."""

from __future__ import annotations

import subprocess
import sys

from autodist_saved.memory import highest_bytes, resident_bytes

# In a process of its own: this one may have been larger before.
PROGRAM = """
from autodist_saved.memory import Growth
first = Growth()
held = bytearray(b"x") * 2**26
del held
second = Growth()
print(first.so_far().grown, second.so_far().grown)
"""


def test_a_process_takes_no_more_than_it_has_ever_taken() -> None:
    assert 2**20 < resident_bytes() <= highest_bytes()


def test_growth_is_known_where_the_process_was_never_larger_before() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    first, second = done.stdout.split()
    assert 0.9 * 2**26 < int(first) < 2**27, "the kernel counts pages in batches"
    assert second == "None"
