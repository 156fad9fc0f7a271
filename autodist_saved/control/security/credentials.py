"""By what a task shows on the control service who it is, and what it asks of the other end: token and TLS."""

from __future__ import annotations

import os
import shlex
import ssl
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from autodist_saved.cluster import Cluster, ControlFiles
from autodist_saved.errors import ClusterConfigError, Problem
from autodist_saved.system.foreign_files import NotAFileError, open_to_read

FILE_BYTES_MAX = 2**20
TOKEN_CHARACTERS_MIN = 16
TOKEN_CHARACTERS_MAX = 1024
MAKE_A_TOKEN = "(umask 077; head -c 32 /dev/urandom | base64 > FILE)"  # noqa: S105 - it is none, it makes one
_PRIVATE = ("token_file", "key")


@dataclass(frozen=True)
class Credentials:
    """The contents of a cluster's ``control_files``, read and found good.

    Attributes:
        files: where they come from.
        token: said with every call; None where none is asked for.
        certificate: PEM; None without TLS.
        key: PEM; None without TLS, and where this end shows no certificate.
        authority: PEM; None where members show no certificate.
    """

    files: ControlFiles
    token: str | None = field(default=None, repr=False)
    certificate: bytes | None = None
    key: bytes | None = field(default=None, repr=False)
    authority: bytes | None = None

    @classmethod
    def read(cls, cluster: Cluster, *, serves: bool) -> Credentials:
        """Read the files, for the chief, who ``serves``, or for a member.

        Raises:
            ClusterConfigError: a file is absent, unreadable, open to others or no good, or strangers could come in
                from other machines.
        """
        return cls._read(cluster.control_files, serves=serves, problems=_exposure(cluster))

    @classmethod
    def read_as_visitor(cls, files: ControlFiles) -> Credentials:
        """Those of somebody who is no task; whether they will do, the chief says. Raises as :meth:`read`."""
        return cls._read(files, serves=False, problems=[])

    @classmethod
    def _read(cls, files: ControlFiles, *, serves: bool, problems: list[Problem]) -> Credentials:
        shown_by_the_chief_alone = ("key",) if files.authority is None and not serves else ()
        contents = {
            name: _read(name, path, problems)
            for name, path in files.named.items()
            if name not in shown_by_the_chief_alone
        }
        found = cls(
            files,
            _token(contents.get("token_file"), files, problems),
            contents.get("certificate"),
            contents.get("key"),
            contents.get("authority"),
        )
        if files.certificate is not None and all(contents[name] for name in contents if name != "token_file"):
            problems += _tls_problems(found)
        if problems:
            raise ClusterConfigError("the control service cannot be used", problems=problems)
        return found

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What a member says with its call."""
        return () if self.token is None else (("authorization", f"Bearer {self.token}"),)

    def listen(self, server: grpc.Server, address: str) -> None:
        """Have the chief's server listen. Raises RuntimeError where the address cannot be bound."""
        if self.certificate is None:
            server.add_insecure_port(address)
            return
        proven = grpc.ssl_server_credentials(
            [(self.key, self.certificate)], self.authority, require_client_auth=self.authority is not None
        )
        server.add_secure_port(address, proven)

    def channel(self, address: str, options: Sequence[tuple[str, int]]) -> grpc.Channel:
        """A member's channel to the chief. Waits for nothing."""
        if self.certificate is None:
            return grpc.insecure_channel(address, options)
        proven = (
            grpc.ssl_channel_credentials(self.certificate)
            if self.authority is None
            else grpc.ssl_channel_credentials(self.authority, self.key, self.certificate)
        )
        return grpc.secure_channel(address, proven, options)

    def for_sockets(self, *, serves: bool) -> ssl.SSLContext | None:
        """The same TLS for connections of Python's own, at the chief's end or at a member's; None without TLS."""
        files = self.files
        if files.certificate is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if serves else ssl.PROTOCOL_TLS_CLIENT)
        if files.authority is not None:
            context.load_verify_locations(files.authority)
            context.verify_mode = ssl.CERT_REQUIRED
        elif not serves:
            context.load_verify_locations(files.certificate)
        if serves or files.authority is not None:
            context.load_cert_chain(files.certificate, files.key)
        # As gRPC does: what is named is trusted, even where it was issued by another.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context


def _exposure(cluster: Cluster) -> list[Problem]:
    if not cluster.control_is_exposed or cluster.control_files.keep_strangers_out:
        return []
    address = cluster.control_address
    alone = " but the chief's own certificate" if cluster.control_files.certificate else ""
    return [
        Problem(
            f"control address {address}",
            f"other machines can reach it, and nothing{alone} is set that keeps strangers out",
            f"make a token file, `{MAKE_A_TOKEN}`, copy it to every machine of the job, and name it in the cluster "
            f'file, `control: {{address: "{address}", token_file: FILE}}`, or likewise under "control" in TF_CONFIG; '
            "or name certificate, key and authority there, for TLS",
        )
    ]


def _read(name: str, path: str, problems: list[Problem]) -> bytes | None:
    """The contents of a file; None, and one problem more, where they cannot be used."""
    place = f"control.{name}, {path}"
    absent = f"copy it to this machine, or correct control.{name}"
    if name == "token_file":
        absent += f"; `{MAKE_A_TOKEN}` makes one, the same for all tasks"
    try:
        with open_to_read(Path(path)) as file:
            status = os.fstat(file.fileno())
            mode = status.st_mode
            contents = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        what, fix = "there is no such file", absent
    except (IsADirectoryError, NotAFileError):
        what, fix = "it is not a file", f"correct control.{name}"
    except OSError as error:
        what, fix = f"it cannot be read: {error.strerror}", f"correct control.{name}, or chown the file to this user"
    else:
        if name in _PRIVATE and _is_open_to_others(status):
            what = f"others than its owner may use it (mode {stat.S_IMODE(mode):04o})"
            fix = f"chmod 600 {shlex.quote(path)}; make a new one if you do not trust everybody who could read it"
        elif not contents.strip():
            what, fix = "it is empty", absent
        elif len(contents) > FILE_BYTES_MAX:
            what, fix = f"it is longer than {FILE_BYTES_MAX} bytes", f"correct control.{name}"
        else:
            return contents
    problems.append(Problem(place, what, fix))
    return None


def _is_open_to_others(status: os.stat_result) -> bool:
    """Whether others may use a file than its owner, and readers in a group that this process is in as well.

    Kubernetes mounts secrets so for a process that is not root: they are root's, and of the pod's ``fsGroup``.
    """
    is_ours = status.st_gid in {os.getegid(), *os.getgroups()}
    return bool(status.st_mode & (0o037 if is_ours else 0o077))


def _token(contents: bytes | None, files: ControlFiles, problems: list[Problem]) -> str | None:
    """The token in a file; None, and one problem more, where it cannot be one."""
    if contents is None:
        return None
    token = contents.strip()
    if not all(0x21 <= byte <= 0x7E for byte in token):
        what = "it is not one line of letters, digits and signs"
    elif not TOKEN_CHARACTERS_MIN <= len(token) <= TOKEN_CHARACTERS_MAX:
        what = f"it holds {len(token)} characters, not {TOKEN_CHARACTERS_MIN} to {TOKEN_CHARACTERS_MAX}"
    else:
        return token.decode("ascii")
    problems.append(Problem(f"control.token_file, {files.token_file}", what, f"make another: `{MAKE_A_TOKEN}`"))
    return None


def _tls_problems(found: Credentials) -> list[Problem]:
    """What gRPC would only tell as a failed handshake: files that are no PEM, or do not belong together."""
    problems = []
    files = found.files
    for name, roots in (("certificate", found.certificate), ("authority", found.authority)):
        try:
            if roots is not None:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=roots.decode("ascii"))
        except (ssl.SSLError, ValueError) as error:
            place = f"control.{name}, {getattr(files, name)}"
            problems.append(Problem(place, f"it holds no certificate in PEM: {error}", f"correct control.{name}"))
    if found.key is not None and files.certificate is not None and not problems:
        try:
            # Without a password of ours, OpenSSL would ask for one on the terminal.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.certificate, files.key, lambda: b"")
        except (ssl.SSLError, ValueError) as error:
            what = f"it is not the key of {files.certificate}, in PEM and without a password: {error}"
            fix = "name the key that the certificate was made with"
            problems.append(Problem(f"control.key, {files.key}", what, fix))
    return problems
