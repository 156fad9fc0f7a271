"""What tests are marked with, where it follows from their place and from what they use, and which of them come first.

``cluster``, ``slow``, ``root`` and ``browser`` are explained in ``pyproject.toml``.
"""

from __future__ import annotations

import os
import shutil
from typing import Any

import pytest

from tests.support.job import Job
from tests.support.places import ROOT

TESTS = ROOT / "tests"
WITH_PROCESSES = (
    "benchmarks",
    "documentation/test_how_to.py",
    "documentation/test_readme.py",
    "documentation/test_running_jobs.py",
    "end_to_end",
    "examples/test_demo_faults.py",
    "faults",
    "launch",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those with processes come first: they take longest, and leave the processors to others while they wait."""
    for item in items:
        if _starts_a_job(item):
            item.add_marker("cluster")
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")
        if item.get_closest_marker("root") and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="needs root"))
        if item.get_closest_marker("browser") and not (shutil.which("chromium") and shutil.which("chromedriver")):
            reason = "looking at pages needs chromium and chromedriver: run scripts/debian_packages test"
            item.add_marker(pytest.mark.skip(reason=reason))
    items.sort(key=lambda item: not (item.get_closest_marker("cluster") or item.get_closest_marker("slow")))


def _starts_a_job(item: pytest.Item) -> bool:
    place = item.path.relative_to(TESTS)
    in_folder = any(place.is_relative_to(folder) for folder in WITH_PROCESSES)
    return in_folder or any(_is_job(value) for value in vars(item.module).values())  # type: ignore[attr-defined]


def _is_job(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, Job)
