"""The rules of a cluster: what makes it usable, whoever describes it.

Input comes from files and environments, so nothing is taken to have the type it ought to have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeGuard

from autodist_saved.cluster.address import HIGHEST_PORT, Address, read_address
from autodist_saved.cluster.control_files import FILE_KEYS
from autodist_saved.cluster.task import TASK_TYPES, TRAINERS, Task
from autodist_saved.cluster.wording import kind, listed, nearest, unknown
from autodist_saved.errors import Problem

CONTROL_KEYS = ("address", *FILE_KEYS)


def cluster_problems(addresses: object, task: Task | None, control: object) -> list[Problem]:
    """Everything that is wrong with a cluster, in the order in which a reader meets it.

    Args:
        addresses: for each job, the ``host:port`` of its tasks; None where there is no such thing.
        task: the task this process is; None where that is not said.
        control: ``host:port`` of the chief's control service, or a mapping with :data:`CONTROL_KEYS`; None where
            it is not given.
    """
    fix = 'write each job with its addresses, such as worker: ["localhost:2222"]'
    if addresses is None:
        return [Problem("cluster", "it is missing", fix)]
    if not isinstance(addresses, Mapping):
        return [Problem("cluster", f"it is {kind(addresses)}, not a mapping", fix)]
    known: dict[str, Address] = {}
    return [
        *_job_problems(addresses),
        *_address_problems(addresses, known),
        *(() if task is None else _task_problems(task, addresses)),
        *_control_problems(control, known, _chief_place(addresses)),
        *(_file_problems(control) if isinstance(control, Mapping) else ()),
    ]


def _job_problems(addresses: Mapping[object, object]) -> Iterator[Problem]:
    for job, row in addresses.items():
        yield from _row_problems(job, row)
    meant = {nearest(str(job), TASK_TYPES) for job in addresses}
    if not meant.intersection(TRAINERS):
        alone = "the cluster has parameter servers and nobody to train" if "ps" in meant else "nobody trains"
        yield Problem("cluster", alone, "add a worker, or a chief that trains by itself")
    if {"chief", "master"} <= addresses.keys():
        both = "the cluster has a chief and a master; they are two names for one task"
        yield Problem("cluster.master", both, "keep one of them")


def _row_problems(job: object, row: object) -> Iterator[Problem]:
    place = f"cluster.{job}"
    if job not in TASK_TYPES:
        yield unknown(place, str(job), TASK_TYPES, "job")
    if not _is_row(row):
        fix = 'write a list, such as ["localhost:2222"]; its order numbers the tasks'
        yield Problem(place, f"it is {kind(row)}, not a list of addresses", fix)
    elif not row:
        yield Problem(place, "the list is empty", "add an address, or leave the job out")
    elif job in ("chief", "master") and len(row) > 1:
        yield Problem(f"{place}[1]", f"there can be only one {job}", "make the others workers")


def _address_problems(addresses: Mapping[object, object], known: dict[str, Address]) -> Iterator[Problem]:
    """What is wrong with the addresses; those that can be read are put into ``known``, by their places."""
    listeners: dict[tuple[str, int], str] = {}
    for job, row in addresses.items():
        for index, text in enumerate(row if _is_row(row) else ()):
            place = f"cluster.{job}[{index}]"
            address = read_address(place, text)
            if isinstance(address, Problem):
                yield address
                continue
            known[place] = address
            twin = listeners.setdefault(address.listener, place)
            if twin != place and address.port:
                what = f"{text} is the address of {twin} already"
                yield Problem(place, what, "give each task a port of its own")


def _task_problems(task: Task, addresses: Mapping[object, object]) -> Iterator[Problem]:
    row = addresses.get(task.type) if isinstance(task.type, str) else None
    if task.type not in TASK_TYPES:
        yield unknown("task.type", str(task.type), TASK_TYPES, "task type")
    # As in TensorFlow, an evaluator stands beside the cluster and is seldom part of it.
    elif row is None and task.type != "evaluator":
        have = listed(job for job in addresses if job in TASK_TYPES) or "no job at all"
        yield Problem("task.type", f"the cluster has no {task.type}", f"choose from {have}")
    if not isinstance(task.index, int) or isinstance(task.index, bool):
        what = f"{task.index!r} is {kind(task.index)}, not a whole number"
        yield Problem("task.index", what, "write a number without quotes, counted from 0")
    elif task.index < 0:
        yield Problem("task.index", f"{task.index} is negative", "count the tasks of a job from 0")
    elif _is_row(row) and task.index >= len(row):
        what = f"the cluster has no {task}, only {len(row)} {task.type}"
        yield Problem("task.index", what, f"write 0 to {len(row) - 1}, or add an address")


def _chief_place(addresses: Mapping[object, object]) -> str | None:
    """Where the chief's address stands; None while it cannot be told, as when a job is misspelled."""
    if not addresses.keys() <= set(TASK_TYPES):
        return None
    return next((f"cluster.{job}[0]" for job in TRAINERS if job in addresses), None)


def _control_problems(control: object, known: Mapping[str, Address], chief_place: str | None) -> Iterator[Problem]:
    chief = None if chief_place is None else known.get(chief_place)
    place = "control"
    if isinstance(control, Mapping):
        place, control = "control.address", control.get("address")
    if control is None:
        if chief is None or len(known) == 1:
            return
        if max(other.port for other in known.values() if other.machine == chief.machine) == HIGHEST_PORT:
            what = f"no port is left above {HIGHEST_PORT} for the chief's control service"
            yield Problem("control", what, f'add control: "{chief.host}:PORT" with a free port')
        return
    address = read_address(place, control)
    if isinstance(address, Problem):
        yield address
        return
    twin = next((place for place, other in known.items() if other.listener == address.listener), None)
    if twin is not None and address.port:
        what = f"{control} is the address of {twin} already"
        yield Problem(place, what, "give the control service a port of its own")
    if chief is not None and address.machine != chief.machine:
        what = f"{address.host} is not the chief's host; {chief_place} is on {chief.host}"
        yield Problem(place, what, f'write "{chief.host}:{address.port}"; the chief runs this service')


def _file_problems(control: Mapping[object, object]) -> Iterator[Problem]:
    """What is wrong with the names of files; nobody looks at the files, which may be on another machine."""
    for key, path in control.items():
        if key not in CONTROL_KEYS:
            yield unknown(f"control.{key}", str(key), CONTROL_KEYS, "key")
        elif key in FILE_KEYS and not (path is None or (isinstance(path, str) and path and "\0" not in path)):
            yield Problem(f"control.{key}", f"{path!r} is no path of a file", "write the path, or leave the key out")
    given = {key for key in FILE_KEYS if control.get(key) is not None}
    for key, needed in (("certificate", "key"), ("key", "certificate"), ("authority", "certificate")):
        if key in given and needed not in given:
            what = f"there is no control.{needed} to go with it"
            yield Problem(f"control.{key}", what, f"name the {needed} too, or leave control.{key} out")


def _is_row(row: object) -> TypeGuard[Sequence[object]]:
    return isinstance(row, list | tuple)
