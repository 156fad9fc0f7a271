"""Which variables of a job a meta graph restores, matched by name, shape and type."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches

from autodist_saved.bundle.restorable import why_unrestorable
from autodist_saved.errors import BindingError, Problem
from autodist_saved.graph.restore_spec import RestoreSpec
from autodist_saved.plan import ExportPlan, LogicalVariable, Shape, make_plan

log = logging.getLogger(__name__)


def plan_of(served: Sequence[RestoreSpec], plan: ExportPlan) -> ExportPlan:
    """What is to be written for a serving graph: the values that it restores, under their keys.

    Args:
        served: what the graph restores.
        plan: of all variables of the job.

    Raises:
        BindingError: some are missing, or are of another shape or type; all of them.
    """
    there = {variable.name: variable for variable in plan.variables}
    problems: list[Problem] = []
    for one in sorted(served, key=lambda one: one.value):
        if one.value in there:
            problems += _differences(one, there[one.value])
        else:
            fix = "name variables and averages that the saver saves, or make the saver after all of them"
            fix = _meant(one.value, there.keys() - {one.value for one in served}) + fix
            problems.append(Problem(f"variable {one.value!r}", "the saver does not save it", fix))
    _refuse(problems)
    return make_plan(
        replace(there[one.value], name=one.key, value_of=None if one.value == one.key else one.value, dense=True)
        for one in served
    )


def check_slices(restored: Sequence[RestoreSpec], plan: ExportPlan) -> None:
    """Check that TensorFlow can restore what a meta graph asks for from what is written for a plan.

    Raises:
        BindingError: a graph asks for slices of a type of which TensorFlow restores only what is stored; all of them.
    """
    there = {variable.name: variable for variable in plan.variables}
    _refuse([problem for one in restored if one.key in there for problem in _unrestorable(one, there[one.key])])


def check_captured(restored: Sequence[RestoreSpec], plan: ExportPlan, *, saver_given: bool) -> None:
    """Check that what a meta graph restores is there.

    Args:
        restored: by the graph.
        plan: of what was captured.
        saver_given: for this graph. TensorFlow's builder takes any graph without one; so a graph that has none of
            the variables is only warned of.

    Raises:
        BindingError: some are missing, are of another shape or type, or are values of others; all of them.
    """
    there = {variable.name: variable for variable in plan.variables}
    if restored and not saver_given and there.keys().isdisjoint(one.key for one in restored):
        names = ", ".join(sorted(one.key for one in restored))
        log.warning("nobody will be able to load this meta graph: it restores %s, and none was captured", names)
        return
    problems: list[Problem] = []
    for one in sorted(restored, key=lambda one: one.key):
        found = there.get(one.key)
        if found is None:
            fix = "add the graph that restores most first, and this one after it; or build this one without it"
            fix = _meant(one.key, there.keys() - {one.key for one in restored}) + fix
            problems.append(Problem(f"variable {one.key!r}", "it was not captured", fix))
        elif found.value != one.value:
            what = f"what was captured under its name is its average {found.value!r}"
            fix = "give this graph moving_averages, too; or add the graph that restores both first"
            problems.append(Problem(f"variable {one.key!r}", what, fix))
        else:
            problems += _differences(one, found) or _unrestorable(one, found)
    _refuse(problems)


def _differences(one: RestoreSpec, found: LogicalVariable) -> list[Problem]:
    if one.dtype in {None, found.dtype} and _agree(one.shape, found.shape):
        return []
    what = f"it is {_type(found)} in the job, and {_type(one)} in the graph"
    return [Problem(f"variable {found.name!r}", what, "build the graph as the job's, but for partitions")]


def _unrestorable(one: RestoreSpec, found: LogicalVariable) -> list[Problem]:
    stored = [one.slice for one in found.slices()] if found.in_slices else []
    what = why_unrestorable(found.dtype, stored, one.slices)
    fix = "partition it in this graph as in the first one, or add a whole one with serving=True"
    return [] if what is None else [Problem(f"variable {found.name!r}", what, fix)]


def _meant(name: str, unused: Iterable[str]) -> str:
    """The beginning of a fix where a name looks like a mistyped one of the job's; nothing for slots of those."""
    near = get_close_matches(name, [other for other in unused if not name.startswith(f"{other}/")], cutoff=0.75)
    return f"name it {' or '.join(map(repr, near))} if you mean that; or " if near else ""


def _refuse(problems: Sequence[Problem]) -> None:
    if problems:
        raise BindingError("the meta graph does not fit the variables of the job", problems=problems)


def _agree(one: Shape | None, other: Shape | None) -> bool:
    return one == other or one is None or other is None


def _type(variable: LogicalVariable | RestoreSpec) -> str:
    return f"{variable.dtype} {list(variable.shape or ())}"
