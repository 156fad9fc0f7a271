"""The files with which the tasks of a job authenticate on the control service."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class ControlFiles:
    """Paths of files on each task's own machine. A task reads them when it starts; this class reads none.

    Attributes:
        token_file: a secret that all tasks share. Only its owner may read it (mode 0600), or a group that the process
            is in as well (mode 0640 or 0440).
        certificate: TLS, in PEM: this task's certificate, followed by those between it and the authority's.
            Without ``authority`` only the chief shows it, and members accept exactly this certificate.
        key: the certificate's private key, in PEM, without a password. The same may read it.
        authority: certificates in PEM. Both ends require that the other end's certificate is signed by one of them.
    """

    token_file: str | None = None
    certificate: str | None = None
    key: str | None = None
    authority: str | None = None

    @property
    def named(self) -> dict[str, str]:
        """The paths that are given, by their keys in a cluster file."""
        return {name: path for name in FILE_KEYS if (path := getattr(self, name)) is not None}

    @property
    def keep_strangers_out(self) -> bool:
        """Whether members have to prove who they are. A certificate of the chief alone proves nothing about them."""
        return self.token_file is not None or self.authority is not None

    def beside(self, address: object) -> object:
        """What a cluster file would say under ``control``: these files and an address, which may be None."""
        if address is None:
            return self.named or None
        return {"address": address, **self.named} if self.named or not isinstance(address, str) else address

    def below(self, folder: Path) -> ControlFiles:
        """The same files, with relative paths joined to ``folder``."""
        return ControlFiles(**{name: str(folder / path) for name, path in self.named.items()})


FILE_KEYS = tuple(field.name for field in fields(ControlFiles))
