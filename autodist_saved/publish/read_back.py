"""Reads back a staged model before it is published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from autodist_saved.bundle.reader import BundleReader
from autodist_saved.errors import BundleError, Problem, VerifyError
from autodist_saved.plan import ExportPlan
from autodist_saved.publish.checksums import sum_problems
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.report.report import FileSum

_FIX = "the model was not published; check the disk, and export again"


def read_back(files: SavedModelFiles, plan: ExportPlan, sums: Mapping[str, FileSum]) -> None:
    """Read back a staged model: names, dtypes, shapes and checksums of all variables, and all other files.

    Args:
        files: the staged model.
        plan: the variables that it must have.
        sums: size and checksum of each other file, by relative path.

    Raises:
        VerifyError: the model differs; the error lists all differences.
    """
    problems = [*_differences(files, plan)] if plan.variables else []
    problems += sum_problems(files, sums, _FIX)
    if problems:
        raise VerifyError("the written model differs from the exported one", problems=problems, path=str(files.root))


def _differences(files: SavedModelFiles, plan: ExportPlan) -> Iterator[Problem]:
    try:
        reader = BundleReader(files.variables_prefix, files.data_prefix)
    except BundleError as error:
        yield Problem.of(error, f"{files.variables.name}/{_file(error)}", _FIX)
    else:
        yield from variable_problems(reader, plan, _FIX)


def variable_problems(reader: BundleReader, plan: ExportPlan | None, fix: str) -> Iterator[Problem]:
    """Find problems of a model's variables: in the checksum of each, and differences to the plan.

    Args:
        reader: of the variables.
        plan: the variables that it must have; None if they are not known.
        fix: what to do about a problem.
    """
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
    """The name of the file that the error is about."""
    return str(error.path).rpartition("/")[2]
