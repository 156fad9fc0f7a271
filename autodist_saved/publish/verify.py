"""Reading back what was written, before it becomes visible."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from autodist_saved.bundle.reader import BundleReader
from autodist_saved.errors import BundleError, Problem, VerifyError
from autodist_saved.plan import ExportPlan
from autodist_saved.publish.files import SavedModelFiles

_FIX = "nothing was made visible; look at the disk, and export again"


def verify(files: SavedModelFiles, plan: ExportPlan, written: Mapping[Path, bytes]) -> None:
    """Read back what is staged: names, dtypes, shapes and checksums of all variables, and the files in ``written``.

    Args:
        files: the staged model.
        plan: the variables as they are meant to be.
        written: what other files are meant to hold.

    Raises:
        VerifyError: all differences at once.
    """
    problems = [*_variable_problems(files, plan)]
    problems += [
        Problem(path.name, "it does not hold what was written", _FIX)
        for path, contents in written.items()
        if path.read_bytes() != contents
    ]
    if problems:
        raise VerifyError("what was written does not read back", problems=problems, path=str(files.root))


def _variable_problems(files: SavedModelFiles, plan: ExportPlan) -> Iterator[Problem]:
    if not plan.variables:
        return
    try:
        reader = BundleReader(files.variables_prefix)
    except BundleError as error:
        yield Problem(Path(files.variables_prefix).name, str(error), _FIX)
        return
    planned = {variable.name: (variable.dtype, variable.shape) for variable in plan.variables}
    found = {name: (entry.dtype, entry.shape) for name, entry in reader.entries.items()}
    for name in sorted(planned.keys() | found.keys()):
        if planned.get(name) != found.get(name):
            yield Problem(f"variable {name!r}", f"planned {planned.get(name)}, found {found.get(name)}", _FIX)
            continue
        try:
            reader.verify(name)
        except BundleError as error:
            yield Problem(f"variable {name!r}", str(error), _FIX)
