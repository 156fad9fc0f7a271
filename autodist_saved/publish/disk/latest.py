"""The link ``latest`` beside the versions, for people and scripts. TensorFlow Serving ignores its name."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from autodist_saved.publish.disk.draft import DraftDirectory
from autodist_saved.publish.disk.file_system import sync
from autodist_saved.publish.version import LATEST, version_number, versions_in

log = logging.getLogger(__name__)


def point_to_latest(base: Path) -> None:
    """Make ``latest`` point to the newest model, in one step. If that fails, log a warning.

    If ``latest`` is a file, a directory, or a link to anything but a version, somebody else has made it, and it stays
    as it is.
    """
    try:
        # Look again after each change: another process may have committed a newer version meanwhile.
        while (newest := _newest(base)) is not None and newest != (linked := _linked(base)):
            if linked is None and os.path.lexists(base / LATEST):
                log.warning("%s is not a link to a version and is left alone", base / LATEST)
                return
            _link(base, newest)
    except OSError as error:
        log.warning("cannot make %s point to the newest version: %s", base / LATEST, error)


def _newest(base: Path) -> str | None:
    return next((version.path.name for version in reversed(versions_in(base)) if version.is_model), None)


def _linked(base: Path) -> str | None:
    link = base / LATEST
    target = str(link.readlink()) if link.is_symlink() else ""
    return target if version_number(target) is not None else None


def _link(base: Path, name: str) -> None:
    draft = DraftDirectory(base, LATEST)
    try:
        link = draft.root / LATEST
        link.symlink_to(name)
        link.replace(base / LATEST)
        sync(base)
    finally:
        draft.remove()
