"""The rules of a cluster: what makes it usable, once it fits the schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from autodist_saved.cluster.address import HIGHEST_PORT, Address
from autodist_saved.cluster.schema import Readable
from autodist_saved.cluster.task import TASK_TYPES, TRAINERS
from autodist_saved.cluster.wording import listed, nearest
from autodist_saved.errors import Problem

Rows = Mapping[str, Sequence[Address | None]]


def rule_problems(described: Readable) -> Iterator[Problem]:
    """The rules that a description breaks. Values that do not fit the schema break none: ``schema`` reports them."""
    rows = described.rows
    if rows is not None:
        known = {
            f"cluster.{job}[{index}]": address
            for job, row in rows.items()
            for index, address in enumerate(row)
            if address is not None
        }
        yield from _job_problems(rows)
        yield from _address_problems(known)
        yield from _task_problems(described.task_type, described.task_index, rows)
        yield from _control_problems(described, known, _chief_place(rows))
    yield from _file_problems(described.control_files)


def _job_problems(rows: Rows) -> Iterator[Problem]:
    meant = {nearest(job, TASK_TYPES) for job in rows}
    if not meant.intersection(TRAINERS):
        alone = "the cluster has parameter servers and nobody to train" if "ps" in meant else "nobody trains"
        yield Problem("cluster", alone, "add a worker, or a chief that trains by itself")
    if {"chief", "master"} <= rows.keys():
        both = "the cluster has a chief and a master; they are two names for one task"
        yield Problem("cluster.master", both, "keep one of them")
    for job in ("chief", "master"):
        if len(rows.get(job, ())) > 1:
            yield Problem(f"cluster.{job}[1]", f"there can be only one {job}", "make the others workers")


def _address_problems(known: Mapping[str, Address]) -> Iterator[Problem]:
    listeners: dict[tuple[str, int], str] = {}
    for place, address in known.items():
        twin = listeners.setdefault(address.listener, place)
        if twin != place and address.port:
            yield Problem(place, f"{address} is the address of {twin} already", "give each task a port of its own")


def _task_problems(task_type: str | None, index: int | None, rows: Rows) -> Iterator[Problem]:
    if task_type is None:
        return
    row = rows.get(task_type)
    # As in TensorFlow, an evaluator usually runs beside the cluster and is not listed in it.
    if row is None and task_type != "evaluator":
        have = listed(job for job in rows if job in TASK_TYPES) or "no job at all"
        yield Problem("task.type", f"the cluster has no {task_type}", f"choose from {have}")
    elif row and index is not None and index >= len(row):
        what = f"the cluster has no {task_type}:{index}, only {len(row)} {task_type}"
        yield Problem("task.index", what, f"write 0 to {len(row) - 1}, or add an address")


def _chief_place(rows: Rows) -> str | None:
    """The place of the chief's address. None if a job has an unknown name: it may be the misspelled chief."""
    if not rows.keys() <= set(TASK_TYPES):
        return None
    return next((f"cluster.{job}[0]" for job in TRAINERS if job in rows), None)


def _control_problems(
    described: Readable, known: Mapping[str, Address], chief_place: str | None
) -> Iterator[Problem]:
    chief = None if chief_place is None else known.get(chief_place)
    place, address = described.control_place, described.control
    if not described.says_control:
        if chief is None or len(known) == 1:
            return
        if max(other.port for other in known.values() if other.machine == chief.machine) == HIGHEST_PORT:
            what = f"no port is left above {HIGHEST_PORT} for the chief's control service"
            yield Problem("control", what, f'add control: "{chief.host}:PORT" with a free port')
    elif address is not None:
        twin = next((place for place, other in known.items() if other.listener == address.listener), None)
        if twin is not None and address.port:
            what = f"{address} is the address of {twin} already"
            yield Problem(place, what, "give the control service a port of its own")
        if chief is not None and address.machine != chief.machine:
            what = f"{address.host} is not the chief's host; {chief_place} is on {chief.host}"
            yield Problem(place, what, f'write "{chief.host}:{address.port}"; the chief runs this service')


def _file_problems(given: frozenset[str]) -> Iterator[Problem]:
    """Files that others need beside them. Does not look at the files: they may be on another machine."""
    for key, needed in (("certificate", "key"), ("key", "certificate"), ("authority", "certificate")):
        if key in given and needed not in given:
            what = f"there is no control.{needed} to go with it"
            yield Problem(f"control.{key}", what, f"name the {needed} too, or leave control.{key} out")
