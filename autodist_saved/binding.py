"""Binding: which variables of a job a serving graph restores, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from autodist_saved.errors import BindingError, Problem
from autodist_saved.graph.serving import Served
from autodist_saved.plan import ExportPlan, LogicalVariable, Shape, make_plan


def plan_of(served: Sequence[Served], plan: ExportPlan) -> ExportPlan:
    """What is to be written for a serving graph: the values that it restores, under their keys.

    Args:
        served: what the graph restores.
        plan: of all variables of the job.

    Raises:
        BindingError: some are missing, or are of another shape or type; all of them.
    """
    bound = _bound({one.value: one for one in served}, plan, "the saver does not save it", "give it to the saver")
    return make_plan(replace(bound[one.value], name=one.key) for one in served)


def check_written(served: Sequence[Served], plan: ExportPlan) -> None:
    """Check that what a serving graph restores is there.

    Args:
        served: what the graph restores.
        plan: of what was captured.

    Raises:
        BindingError: some are missing, or are of another shape or type; all of them.
    """
    fix = "have the first meta graph restore it too, or build the graph without it"
    _bound({one.key: one for one in served}, plan, "it was not captured", fix)


def _bound(served: Mapping[str, Served], plan: ExportPlan, missing: str, fix: str) -> dict[str, LogicalVariable]:
    """The variables of a plan by name, when all fit. ``served`` goes by the plan's names."""
    there = {variable.name: variable for variable in plan.variables}
    problems = []
    for name, one in sorted(served.items()):
        found = there.get(name)
        if found is None:
            problems.append(Problem(f"variable {name!r}", missing, fix))
        elif one.dtype not in {None, found.dtype} or not _agree(one.shape, found.shape):
            what = f"it is {_type(found)} in the job, and {_type(one)} in the graph"
            problems.append(Problem(f"variable {name!r}", what, "build the graph as the job's, but for partitions"))
    if problems:
        raise BindingError("the serving graph does not fit the variables of the job", problems=problems)
    return there


def _agree(one: Shape | None, other: Shape | None) -> bool:
    return one == other or one is None or other is None


def _type(variable: LogicalVariable | Served) -> str:
    return f"{variable.dtype} {list(variable.shape or ())}"
