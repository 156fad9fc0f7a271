"""Names the process that owns a base directory or has a claim, as a line of JSON in a small file."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, TypeAdapter

from autodist_saved.system.foreign_files import NotAFileError, read_file

_FILE_BYTES = 64 * 1024


@dataclass(frozen=True)
class Owner:
    """The process that owns a base directory or has a claim.

    Attributes:
        generation: one more than that of the owner before.
        host: name of the host of the process.
        pid: process id.
        task: task of the job, such as ``chief:0``; may be empty.
        since: when the process became the owner, for people: ISO 8601, UTC.
        pids: identifies the boot of the machine and the pid namespace to which ``pid`` belongs. Without it, a pid of
            another container with the same host name could be mistaken for this one. Empty if it is not known.
    """

    generation: Annotated[int, Field(ge=1)]
    host: str
    pid: Annotated[int, Field(ge=1, lt=2**31)]
    task: str
    since: str
    pids: str = ""

    @classmethod
    def after(cls, last: Owner | None, task: str) -> Self:
        """The calling process as the next owner.

        Args:
            last: the owner before, or None.
            task: task of the job; may be empty.
        """
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        return cls(last.generation + 1 if last else 1, socket.gethostname(), os.getpid(), task, now, _pids())

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Read the owner from the first line of a file.

        Returns:
            None if there is no such file, or its first line does not name an owner.

        Raises:
            OSError: the file cannot be read. In an object store, also errors of the store's library.
        """
        try:
            return TypeAdapter(cls).validate_json(read_file(path, _FILE_BYTES).split(b"\n")[0], strict=True)
        except (FileNotFoundError, NotAFileError, ValueError):
            return None

    @property
    def line(self) -> bytes:
        """The line that :meth:`read` reads."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @property
    def may_live(self) -> bool:
        """Whether the owner may be a running process other than this one.

        True for processes of other machines and other containers, because nothing is known about them.
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
