"""Reading back what was written, before it becomes visible."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from autodist_saved.bundle.reader import BundleReader
from autodist_saved.errors import BundleError, Problem, VerifyError
from autodist_saved.plan import ExportPlan
from autodist_saved.publish.checksums import sum_problems
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.report.report import FileSum

_FIX = "nothing was made visible; look at the disk, and export again"


def verify(files: SavedModelFiles, plan: ExportPlan, sums: Mapping[str, FileSum]) -> None:
    """Read back what is staged: names, dtypes, shapes and checksums of all variables, and all other files.

    Args:
        files: the staged model.
        plan: the variables as they are meant to be.
        sums: of what other files are meant to hold, by path in the model.

    Raises:
        VerifyError: all differences at once.
    """
    problems = [*variable_problems(files, plan, _FIX)] if plan.variables else []
    problems += sum_problems(files, sums, _FIX)
    if problems:
        raise VerifyError("what was written does not read back", problems=problems, path=str(files.root))


def variable_problems(files: SavedModelFiles, plan: ExportPlan | None, fix: str) -> Iterator[Problem]:
    """What is wrong with the bundle of a model: its files, the checksum of every variable, what is not as planned.

    Args:
        files: the model.
        plan: the variables as they are meant to be; None where nobody knows.
        fix: what to do about it.
    """
    try:
        reader = BundleReader(files.variables_prefix, files.data_prefix)
    except BundleError as error:
        yield Problem.of(error, f"{files.variables.name}/{_file(error)}", fix)
        return
    found = {name: (entry.dtype, entry.shape) for name, entry in reader.entries.items()}
    planned = found if plan is None else {one.name: (one.dtype, one.shape) for one in plan.variables}
    damage = dict(reader.damaged())
    for name in sorted(planned.keys() | found.keys()):
        if planned.get(name) != found.get(name):
            yield Problem(f"variable {name!r}", f"planned {planned.get(name)}, found {found.get(name)}", fix)
        elif name in damage:
            problem = Problem.of(damage[name], f"variable {name!r}", fix)
            yield replace(problem, what=f"{problem.what}, in {_file(damage[name])}")


def _file(error: BundleError) -> str:
    """The name of the file that it is about."""
    return str(error.path).rpartition("/")[2]
