"""Files that users put into ``assets.extra/``, beside a model. TensorFlow does not read them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath

from autodist_saved.errors import Problem
from autodist_saved.system.foreign_files import is_path_inside

OUR_DIRECTORY = "autodist_saved"
ExtraFiles = Mapping[str, str | os.PathLike[str] | bytes]
"""By path below ``assets.extra/``: the file to copy, or its contents as bytes."""


def extra_file_problems(files: ExtraFiles, taken: Collection[str] = ()) -> Iterator[Problem]:
    """Yield what is wrong with files for ``assets.extra/``, in which the files ``taken`` are already."""
    for name, origin in files.items():
        place = f"assets_extra[{name!r}]"
        if not is_path_inside(name):
            fix = "give a relative path such as 'schema/words.json'"
            yield Problem(place, "this is not a path of a file below assets.extra/", fix)
            continue
        for what in _conflicts(PurePosixPath(name), files, taken):
            yield Problem(place, what, "choose another name")
        if not isinstance(origin, bytes) and not Path(origin).is_file():
            yield Problem(place, f"there is no file {os.fspath(origin)!r}", "name a file of this machine")


def _conflicts(path: PurePosixPath, files: ExtraFiles, taken: Collection[str]) -> Iterator[str]:
    if path.parts[0] == OUR_DIRECTORY:
        yield f"{OUR_DIRECTORY}/ is reserved for the manifest of the export"
    if str(path) in taken:
        yield "another file has this name already"
    if any(path in PurePosixPath(other).parents for other in taken):
        yield f"{path} is a directory already"
    for parent in map(str, path.parents):
        if parent in files or parent in taken:
            yield f"{parent} is a file, and not a directory too"
