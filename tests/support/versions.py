"""Models as exports leave them, without an export: the least that counts as one."""

from __future__ import annotations

import os
import time
from pathlib import Path

from autodist_saved.publish.checksums import file_sums
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.publish.manifest import write_manifest
from autodist_saved.publish.target import Target
from autodist_saved.report.report import ExportReport

GRAPHS = b"\x08\x01\x12\x00"  # a SavedModel with one empty meta graph
DAY_SECS = 24 * 60 * 60


def write_model(root: Path, graphs: bytes = GRAPHS) -> None:
    """Into a staging directory, or right away where it is to be."""
    files = SavedModelFiles(root)
    files.saved_model.write_bytes(graphs)
    write_manifest(files, ExportReport("chief:0", files=file_sums(files)))


def publish(target: Target) -> str:
    """A model, from the beginning to the commit."""
    write_model(target.open().root)
    return target.commit()


def make_version(base: Path, number: int | str, *, days_old: float = 0) -> Path:
    place = base / str(number)
    place.mkdir(parents=True)
    write_model(place)
    date = time.time() - days_old * DAY_SECS
    os.utime(place / "saved_model.pb", (date, date))
    return place


def numbers(base: Path) -> list[int]:
    return sorted(int(path.name) for path in base.iterdir() if path.name.isdigit())


def linked(base: Path) -> str:
    """Where ``latest`` points to."""
    return str((base / "latest").readlink())
