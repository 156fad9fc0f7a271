"""Which process has something, as a small file of its tells."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, TypeAdapter


@dataclass(frozen=True)
class LeaseHolder:
    """What names a process that holds a lease or a claim.

    Attributes:
        epoch: one more than that of the holder before.
        host, pid: of the process.
        task: of the job, such as ``chief:0``; may be empty.
        since: when it was taken, for people: ISO 8601, UTC.
        pids: whose numbers ``pid`` is one of: the boot of a machine, and a namespace of processes in it. Containers
            may share the name of their host. Empty where that is not known.
    """

    epoch: Annotated[int, Field(ge=1)]
    host: str
    pid: Annotated[int, Field(ge=1, lt=2**31)]
    task: str
    since: str
    pids: str = ""

    @classmethod
    def after(cls, last: LeaseHolder | None, task: str) -> Self:
        """What names the process that calls it, from now on."""
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        return cls(last.epoch + 1 if last else 1, socket.gethostname(), os.getpid(), task, now, _pids())

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Who is named in the first line of a file; None where nobody is. Raises ``OSError``, and what a store's
        library does.
        """
        try:
            return TypeAdapter(cls).validate_json(path.read_bytes().split(b"\n")[0], strict=True)
        except (FileNotFoundError, ValueError):
            return None

    @property
    def line(self) -> bytes:
        """What :meth:`read` reads."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @property
    def may_live(self) -> bool:
        """Whether it may be another process than the one that asks. Of other machines nothing is known, nor of
        other containers.
        """
        if self.host != socket.gethostname() or not self.pids or self.pids != _pids():
            return True
        return self.pid != os.getpid() and Path(f"/proc/{self.pid}").exists()

    def __str__(self) -> str:
        task = f" ({self.task})" if self.task else ""
        return f"process {self.pid} on {self.host}{task}, since {self.since}"


def _pids() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""
