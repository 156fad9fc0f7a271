"""Ten thousand hostile connections and calls, of every kind, and the job goes on as if nothing had been."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from autodist_saved.cluster import Cluster, ControlFiles
from autodist_saved.cluster.address import Address
from autodist_saved.control import control_pb2
from autodist_saved.control.channel import MESSAGE_BYTES_MAX, job_digest
from autodist_saved.control.member_client import MemberClient
from autodist_saved.control.security.credentials import Credentials
from autodist_saved.control.server import STRANGERS_MAX
from autodist_saved.options import SessionOptions
from tests.support.certificates import Authority

ROOT = Path(__file__).parents[2]
ATTACKS = 10_000
SEED = 20_261_122
OPEN_MAX = 150  # connections, and calls, that are left open before the first of them is closed
GROWTH_BYTES_MAX = 64 * 2**20
LOG_BYTES_MAX = 64 * 2**10
HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Chief:
    """The process that is attacked."""

    def __init__(self, jobs: list[Cluster], log: Path) -> None:
        self.log = log
        with log.open("w") as stderr:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.control.chief_under_attack",
                    *(job.tf_config(job.chief) for job in jobs),
                ],
                cwd=ROOT,
                env={**os.environ, "GRPC_VERBOSITY": "ERROR"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )

    def health(self) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the chief is dead\n{self.log.read_text()[-4000:]}"
        return dict(json.loads(line))

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@dataclass
class Jobs:
    """One without credentials, one with a token, one with a token and TLS; and what strangers have."""

    open: Cluster
    token: Cluster
    tls: Cluster
    stranger: ControlFiles

    @property
    def all(self) -> list[Cluster]:
        return [self.open, self.token, self.tls]


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    secret = tmp_path / "token"
    secret.touch(mode=0o600)
    secret.write_text("k7aT0bY2xQ9mZ4cV1nR8")
    local = [Cluster.local(ps=1, workers=1, chief=True) for _ in range(3)]
    ours = Authority(tmp_path, "ours").issue("ours-1")
    theirs = Authority(tmp_path, "theirs").issue("theirs-1")
    return Jobs(
        local[0],
        replace(local[1], control_files=ControlFiles(token_file=str(secret))),
        replace(local[2], control_files=replace(ours, token_file=str(secret))),
        replace(theirs, authority=ours.authority),
    )


@pytest.fixture
def chief(jobs: Jobs, tmp_path: Path) -> Iterator[Chief]:
    process = Chief(jobs.all, tmp_path / "log")
    yield process
    process.end()


class Attacker:
    """Does one hostile thing after the other, as a generator with a seed tells."""

    def __init__(self, jobs: Jobs) -> None:
        self._dice = random.Random(SEED)  # noqa: S311 - what counts is that it does the same again
        self._jobs = jobs
        self._open: deque[Callable[[], object]] = deque()
        options = [("grpc.use_local_subchannel_pool", 1)]
        key_less = replace(jobs.tls, control_files=replace(jobs.tls.control_files, token_file=None))
        self._channels = [
            *(grpc.insecure_channel(str(job.control_address), options) for job in (jobs.open, jobs.token) * 3),
            # As somebody with a certificate of ours, but without the token.
            Credentials.read(key_less, serves=False).channel(str(jobs.tls.control_address), options),
        ]
        self._stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._stranger.check_hostname = False
        self._stranger.verify_mode = ssl.CERT_NONE
        self._nameless = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._nameless.check_hostname = False
        self._nameless.verify_mode = ssl.CERT_NONE
        self._stranger.load_cert_chain(str(jobs.stranger.certificate), jobs.stranger.key)
        self.done: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()

    def attack(self, times: int) -> None:
        kinds = (
            self._noise,
            self._silence,
            self._frames,
            self._settings,
            self._greeting,
            self._certificate,
            self._nonsense,
            self._token,
            self._too_much,
            self._impostor,
        )
        for _ in range(times):
            kind = self._dice.choice(kinds)
            kind()
            self.done[kind.__name__] += 1
            while len(self._open) > OPEN_MAX:
                self._open.popleft()()

    def stop(self) -> None:
        while self._open:
            self._open.popleft()()

    def close(self) -> None:
        self.stop()
        for channel in self._channels:
            channel.close()

    def crowd(self, job: Cluster, times: int) -> None:
        """So many connections at once to either address that localhost may have, which say nothing."""
        for host in ("127.0.0.1", "::1"):
            with contextlib.suppress(OSError):  # a machine without the one or the other
                for _ in range(times):
                    self._open.append(socket.create_connection((host, _address(job)[1]), timeout=10).close)

    def _connect(self, job: Cluster | None = None) -> socket.socket:
        connection = socket.create_connection(_address(job or self._dice.choice(self._jobs.all)), timeout=10)
        self._open.append(connection.close)
        return connection

    def _say(self, *said: bytes, job: Cluster | None = None) -> None:
        connection = self._connect(job)
        with contextlib.suppress(OSError):  # it may hang up on us at any moment
            for part in said:
                connection.sendall(part)
            if self._dice.random() < 0.3:
                connection.shutdown(socket.SHUT_WR)

    def _bytes(self, most: int) -> bytes:
        return self._dice.randbytes(self._dice.randint(1, most))

    def _frame(self, kind: int | None = None) -> bytes:
        """A frame of HTTP/2, most often with a length that is its own."""
        payload = self._bytes(300)
        length = len(payload) if self._dice.random() < 0.9 else self._dice.getrandbits(24)
        kind = self._dice.randint(0, 11) if kind is None else kind
        stream = self._dice.choice((0, 1, 3, self._dice.getrandbits(32)))
        return struct.pack(">I", length)[1:] + struct.pack(">BBI", kind, self._dice.getrandbits(8), stream) + payload

    # ---- kinds -------------------------------------------------------------------------------------------

    def _noise(self) -> None:
        self._say(self._bytes(3000))

    def _silence(self) -> None:
        self._connect()

    def _frames(self) -> None:
        self._say(
            HTTP2, bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)), *(self._frame() for _ in range(self._dice.randint(1, 8)))
        )

    def _settings(self) -> None:
        """Settings, pings and resets over and over."""
        kind, length = self._dice.choice(((4, 0), (6, 8), (3, 4)))
        stream = 0 if kind != 3 else 1
        frame = struct.pack(">I", length)[1:] + struct.pack(">BBI", kind, 0, stream) + bytes(length)
        self._say(HTTP2, bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)), frame * self._dice.randint(1, 200))

    def _greeting(self) -> None:
        """The beginning of TLS, and then none."""
        self._say(
            b"\x16\x03\x01" + struct.pack(">H", self._dice.getrandbits(14)) + self._bytes(500), job=self._jobs.tls
        )

    def _certificate(self) -> None:
        """A certificate of another authority, or none; then bytes, in case nobody looks."""
        context = self._dice.choice((self._stranger, self._nameless))
        with contextlib.suppress(OSError):
            connection = context.wrap_socket(self._connect(self._jobs.tls))
            self._open[-1] = connection.close
            connection.sendall(HTTP2 + self._bytes(100))

    def _call(self, message: bytes, *metadata: tuple[str, str]) -> None:
        method = "/autodist_saved.control.Control/" + ("Join" if self._dice.random() < 0.9 else "Leave")
        call = self._dice.choice(self._channels).stream_stream(method)
        answer = call(iter([message]), metadata=metadata, timeout=20)
        self._open.append(lambda: self.answers.update([answer.code().name]))

    def _nonsense(self) -> None:
        self._call(self._bytes(500))

    def _token(self) -> None:
        said = "".join(self._dice.choices("abcdefghijklmnopqrstuvwxyz0123456789+/=", k=self._dice.randint(0, 100)))
        self._call(b"", ("authorization", self._dice.choice(("", "Bearer ", "Basic ")) + said))

    def _too_much(self) -> None:
        self._call(bytes(MESSAGE_BYTES_MAX + self._dice.randint(1, 2**16)))

    def _impostor(self) -> None:
        """A member by its name, which knows the job's digest but where that is all it takes."""
        job = self._dice.choice((self._jobs.token, self._jobs.tls))
        process = control_pb2.Process(task=self._dice.choice(("worker:0", "ps:0")), life="another")
        hello = control_pb2.Hello(job=job_digest(job), process=process)
        self._call(control_pb2.MemberMessage(hello=hello).SerializeToString())


@pytest.mark.slow
@pytest.mark.timeout(300)  # for busy machines
def test_ten_thousand_strangers_change_nothing(jobs: Jobs, chief: Chief) -> None:
    members = [MemberClient(job.for_task("ps:0"), SessionOptions()) for job in jobs.all]
    for member in members:
        member.join()
    attacker = Attacker(jobs)
    attacker.attack(1000)  # threads and arenas that are made once and kept
    attacker.stop()
    before = settled(chief, lambda health: health["files"] < 100)
    attacker.attack(ATTACKS)
    attacker.stop()
    # Nobody but members has a connection any longer than it takes to say nothing.
    after = settled(chief, lambda health: health["files"] <= before["files"])

    assert after["members"] == before["members"]
    for states in after["members"]:
        assert states["ps:0"][0] == "joined"
        assert states["worker:0"][0] == "expected"
    assert after["resident"] - before["resident"] < GROWTH_BYTES_MAX
    assert after["busy"] <= before["busy"]
    assert after["threads"] < 100
    assert chief.log.stat().st_size < LOG_BYTES_MAX, chief.log.read_text()[-4000:]
    assert "Traceback" not in chief.log.read_text()
    assert "is lost" not in chief.log.read_text()
    assert min(attacker.done.values()) > ATTACKS / 15

    attacker.close()
    attacker.crowd(jobs.tls, STRANGERS_MAX + 50)
    for job, member in zip(jobs.all, members, strict=True):
        # With more strangers there than may be, it has to wait until the first of them are hung up on.
        newcomer = MemberClient(job.for_task("worker:0"), SessionOptions(start_timeout_secs=18))
        newcomer.join()
        assert not member.is_over()
        newcomer.leave()
        member.leave()
    attacker.stop()


def _address(job: Cluster) -> tuple[str, int]:
    return Address.of(str(job.control_address))


def settled(chief: Chief, holds: Callable[[dict[str, Any]], bool], timeout_secs: float = 30) -> dict[str, Any]:
    deadline = time.monotonic() + timeout_secs
    while not holds(health := chief.health()):
        assert time.monotonic() < deadline, f"{health}\n{chief.log.read_text()[-4000:]}"
        time.sleep(0.1)  # another process, which tells only when it is asked
    return health
