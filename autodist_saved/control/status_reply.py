"""The chief's answer to ``autodist-saved status``: it fits into one message, whatever has happened to the job."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from autodist_saved.control import control_pb2
from autodist_saved.control.gate import Standing
from autodist_saved.control.member import Member, MemberState
from autodist_saved.report.export_history import Entry

Status = TypeVar("Status", control_pb2.TaskStatus, control_pb2.ExportStatus)

PATH_BYTES_MAX = 4096  # as on Linux
_ERROR_BYTES_MAX = 2000
# Together less than a message may have. At least two exports fit, and some hundred tasks.
_EXPORTS_BYTES_MAX = 24 * 1024
_TASKS_BYTES_MAX = 32 * 1024
_FIELD_BYTES = 8  # around each entry, at most


def status_reply(
    chief: control_pb2.TaskStatus, members: Sequence[Member], exports: Sequence[Entry]
) -> control_pb2.StatusReply:
    """A status of the job.

    Args:
        chief: its own part.
        members: all others, in the order of the cluster. If not all fit, those that train as they should are left
            out first.
        exports: oldest first. The status has the newest first; if not all fit, the oldest are left out.
    """
    shown = list(_fitting(map(export_status, reversed(exports)), _EXPORTS_BYTES_MAX))
    by_need = sorted(members, key=_trains_on)  # stable, so otherwise in their order
    statuses = {status.task: status for status in _fitting(map(_task_status, by_need), _TASKS_BYTES_MAX)}
    tasks = [statuses[str(member.task)] for member in members if str(member.task) in statuses]
    return control_pb2.StatusReply(
        tasks=[chief, *tasks],
        tasks_left_out=len(members) - len(tasks),
        exports=shown,
        exports_left_out=len(exports) - len(shown),
    )


def export_status(entry: Entry) -> control_pb2.ExportStatus:
    """One export, with texts of bounded length."""
    return control_pb2.ExportStatus(
        target=_shortened(entry.target, PATH_BYTES_MAX),
        phase=entry.phase,
        seconds=entry.seconds,
        path=_shortened(entry.path, PATH_BYTES_MAX),
        error=shortened_error(entry.error),
    )


def shortened_error(error: str) -> str:
    """The beginning of an error's text. The chief logs all of it."""
    return _shortened(error, _ERROR_BYTES_MAX)


def _task_status(member: Member) -> control_pb2.TaskStatus:
    status = control_pb2.TaskStatus(
        task=str(member.task),
        state=member.state.value,
        standing=getattr(control_pb2.Progress, member.standing.name),
        steps=member.steps,
        steps_per_sec=member.steps_per_sec if member.trains else None,
        pid=member.pid,
    )
    if member.heard_at:
        status.silent_secs = time.monotonic() - member.heard_at
    return status


def _trains_on(member: Member) -> bool:
    return member.state in {MemberState.JOINED, MemberState.FINISHED} and member.standing is Standing.TRAINING


def _fitting(entries: Iterable[Status], nbytes: int) -> Iterator[Status]:
    """The first entries, as many as fit into so many bytes."""
    for entry in entries:
        nbytes -= entry.ByteSize() + _FIELD_BYTES
        if nbytes < 0:
            return
        yield entry


def _shortened(text: str, nbytes: int) -> str:
    """At most so many bytes of a text, in UTF-8. Other bytes of a file name become codes: a message takes none."""
    data = text.encode("utf-8", "backslashreplace")
    if len(data) <= nbytes:
        return data.decode()
    note = f" ... ({len(text)} characters; the chief's log has all)"
    return data[: nbytes - len(note)].decode("utf-8", "ignore") + note
