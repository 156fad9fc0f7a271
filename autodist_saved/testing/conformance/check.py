"""What the tests of all conformance classes use instead of ``assert``, which pytest explains in test files only."""

from __future__ import annotations


def check(holds: bool, claim: str) -> None:
    """Raise ``AssertionError`` with the claim, if it does not hold."""
    if not holds:
        raise AssertionError(f"not so: {claim}")
