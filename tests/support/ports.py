"""Ports for the clusters of tests, which nobody else on this machine gets before their tasks listen there."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest

from autodist_saved.cluster import ports

FIRST, OF_EACH_PROCESS = 10_000, 1_000  # below those that processes choose which are not of the tests


@pytest.fixture(scope="session", autouse=True)
def ports_of_this_process() -> Iterator[None]:
    """Each process of pytest-xdist gives out ports of its own, one after the other."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = FIRST + number % 10 * OF_EACH_PROCESS
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ports, "_turn", itertools.cycle(range(first, first + OF_EACH_PROCESS)))
        yield
