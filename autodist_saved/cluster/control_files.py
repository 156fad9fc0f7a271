"""The files by which the tasks of a job know each other on the control service."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class ControlFiles:
    """Paths of files that every task finds on its own machine. They are read when a task starts, never here.

    Attributes:
        token_file: a secret that all tasks share; for its owner's eyes only (mode 0600).
        certificate: TLS, in PEM: by which this task shows who it is, with what leads from it to the authority.
            Without ``authority`` only the chief shows it, and members take this very certificate for the chief's.
        key: the certificate's private key, in PEM, without a password; for its owner's eyes only.
        authority: the certificates, in PEM, that the other end's certificate has to come from, on both ends.
    """

    token_file: str | None = None
    certificate: str | None = None
    key: str | None = None
    authority: str | None = None

    @property
    def named(self) -> dict[str, str]:
        """Those that are given, by their keys in a cluster file."""
        return {name: path for name in FILE_KEYS if (path := getattr(self, name)) is not None}

    @property
    def keep_strangers_out(self) -> bool:
        """Whether members have something to prove; a certificate of the chief alone proves nothing about them."""
        return self.token_file is not None or self.authority is not None

    def beside(self, address: object) -> object:
        """What a cluster file says under ``control`` for these files and an address, which may be None."""
        if address is None:
            return self.named or None
        return {"address": address, **self.named} if self.named or not isinstance(address, str) else address

    def below(self, folder: Path) -> ControlFiles:
        """The same with relative paths taken from ``folder``."""
        return ControlFiles(**{name: str(folder / path) for name, path in self.named.items()})


FILE_KEYS = tuple(field.name for field in fields(ControlFiles))
