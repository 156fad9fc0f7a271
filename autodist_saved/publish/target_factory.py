"""What a path stands for: the one place that tells directories from object stores."""

from __future__ import annotations

import os
from typing import Any

from autodist_saved.publish.disk.file_system import local_path
from autodist_saved.publish.disk.target import LocalTarget
from autodist_saved.publish.disk.version_base import LocalVersionBase
from autodist_saved.publish.store.target import StoreTarget
from autodist_saved.publish.store.version_base import StoreVersionBase
from autodist_saved.publish.target import Target
from autodist_saved.publish.version_base import VersionBase
from autodist_saved.system.paths import is_remote, path_of


def target_at(path: str | os.PathLike[str]) -> Target:
    """The target for one model. Touches nothing.

    Raises:
        TargetUnwritableError: it can be no path.
        UsageError: no library for this kind of object store is installed.
    """
    place = path_of(path)
    return StoreTarget(place) if is_remote(place) else LocalTarget(place)


def base_at(path: str | os.PathLike[str]) -> VersionBase[Any]:
    """The base for versions. Raises as :func:`target_at` does."""
    place = path_of(path)
    return StoreVersionBase(place) if is_remote(place) else LocalVersionBase(local_path(place))
