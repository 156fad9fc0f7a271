"""Tests signal their own processes, and nobody else: not who has started them, and not all that is in their group."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """A process of pytest-xdist is the first one of a session of its own."""
    if hasattr(config, "workerinput"):
        os.setsid()
    sys.addaudithook(_refuse_strangers)


def _refuse_strangers(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in {"os.kill", "os.killpg"}:
        return
    whom, number = arguments
    strangers = (1, *_ancestors()) if event == "os.kill" else (1, os.getpgrp())
    if number and (whom <= 0 or whom in strangers):
        raise RuntimeError(f"a test would have called {event}{arguments}")


def _ancestors() -> Iterator[int]:
    pid = os.getppid()
    while pid > 1:
        yield pid
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
