"""Who may talk to the control service: real servers, real members, real files."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from autodist_saved.cluster import Cluster, ControlFiles, Task
from autodist_saved.control import control_pb2, control_pb2_grpc
from autodist_saved.control.channel import job_digest
from autodist_saved.control.chief_service import ChiefService
from autodist_saved.control.member import MemberState
from autodist_saved.control.member_client import MemberClient
from autodist_saved.control.security import pending_streams
from autodist_saved.control.security.auth_interceptor import CALLS_MAX
from autodist_saved.control.security.credentials import MAKE_A_TOKEN, Credentials
from autodist_saved.control.security.rejection_log import LINES_MAX, RejectionLog
from autodist_saved.errors import ClusterConfigError, JobError, TaskUnreachableError
from autodist_saved.options import SessionOptions
from tests.support.certificates import Authority

TOKEN = "k7aT0bY2xQ9mZ4cV1nR8"  # noqa: S105 - of tests
BRIEF = SessionOptions(start_timeout_secs=1)
PATIENT = SessionOptions(start_timeout_secs=20)


def made(path: Path, text: str = TOKEN, mode: int = 0o600) -> str:
    path.touch(mode=0o600)
    path.write_text(text)
    path.chmod(mode)
    return str(path)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster.local(ps=1, workers=1, chief=True)


@pytest.fixture
def token(tmp_path: Path) -> ControlFiles:
    return ControlFiles(token_file=made(tmp_path / "token"))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ours"), "ours")


@pytest.fixture(scope="module")
def chief_files(authority: Authority) -> ControlFiles:
    return authority.issue("chief")


@pytest.fixture(scope="module")
def member_files(authority: Authority) -> ControlFiles:
    return authority.issue("member", host="nowhere.example.com")


@pytest.fixture(scope="module")
def stranger_files(tmp_path_factory: pytest.TempPathFactory) -> ControlFiles:
    return Authority(tmp_path_factory.mktemp("theirs"), "theirs").issue("stranger")


Serve = Callable[[ControlFiles], ChiefService]


@pytest.fixture
def serve(cluster: Cluster) -> Iterator[Serve]:
    servers: list[ChiefService] = []

    def make(files: ControlFiles) -> ChiefService:
        servers.append(ChiefService(replace(cluster, control_files=files)))
        servers[-1].start()
        return servers[-1]

    yield make
    for server in servers:
        server.end_job(succeeded=False, reason="the test is over")


def join(cluster: Cluster, files: ControlFiles, options: SessionOptions = PATIENT) -> None:
    """Join as the worker, and leave."""
    member = MemberClient(replace(cluster, task=Task("worker", 0), control_files=files), options)
    try:
        member.join()
    finally:
        member.leave()


# ---- starting ------------------------------------------------------------------------------------------------


def exposed(files: ControlFiles) -> Cluster:
    return Cluster(
        {"chief": ("trainer-0:1",), "worker": ("trainer-1:1",), "ps": ("trainer-1:2",)}, control_files=files
    )


@pytest.mark.parametrize(
    "start",
    [ChiefService, lambda cluster: MemberClient(cluster.for_task("ps:0"), PATIENT)],
    ids=["chief", "member"],
)
def test_what_other_machines_can_reach_does_not_start_without_token_or_tls(start: Callable[[Cluster], Any]) -> None:
    with pytest.raises(ClusterConfigError) as caught:
        start(exposed(ControlFiles()))
    (problem,) = caught.value.problems
    assert problem.place == "control address trainer-0:2"
    assert problem.what == "other machines can reach it, and nothing is set that keeps strangers out"
    assert f"make a token file, `{MAKE_A_TOKEN}`, copy it to every machine of the job" in problem.fix
    assert '`control: {address: "trainer-0:2", token_file: FILE}`' in problem.fix


def test_the_line_that_makes_a_token_makes_one(tmp_path: Path, cluster: Cluster, serve: Serve) -> None:
    path = tmp_path / "made"
    subprocess.run(["sh", "-c", MAKE_A_TOKEN.replace("FILE", str(path))], check=True, umask=0)
    serve(ControlFiles(token_file=str(path)))
    join(cluster, ControlFiles(token_file=str(path)))


def test_on_loopback_nothing_is_needed(cluster: Cluster, serve: Serve) -> None:
    serve(ControlFiles())
    join(cluster, ControlFiles())


def test_token_or_mutual_tls_is_enough(token: ControlFiles, chief_files: ControlFiles) -> None:
    assert Credentials.read(exposed(token), serves=True).token == TOKEN
    assert Credentials.read(exposed(chief_files), serves=False).authority is not None


def test_a_certificate_of_the_chief_alone_keeps_nobody_out(chief_files: ControlFiles) -> None:
    with pytest.raises(ClusterConfigError, match="nothing but the chief's own certificate is set"):
        ChiefService(exposed(replace(chief_files, authority=None)))


BAD_TOKENS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "absent": (lambda path: None, "there is no such file", "copy it to this machine"),
    "for all to read": (
        lambda path: made(path, mode=0o644),
        "others than its owner may use it (mode 0644)",
        "chmod 600 ",
    ),
    "for the group to write": (lambda path: made(path, mode=0o660), "(mode 0660)", "chmod 600 "),
    "empty": (lambda path: made(path, " \n"), "it is empty", MAKE_A_TOKEN),
    "a directory": (lambda path: path.mkdir(), "it is not a file", "correct control.token_file"),
    "a pipe": (lambda path: os.mkfifo(path, 0o600), "it is not a file", "correct control.token_file"),
    "below a file": (
        lambda path: made(path.parent),
        "it cannot be read: Not a directory",
        "correct control.token_file",
    ),
    "a guess": (lambda path: made(path, "secret\n"), "it holds 6 characters, not 16 to 1024", MAKE_A_TOKEN),
    "two lines": (lambda path: made(path, "k7aT0bY2xQ9\nmZ4cV1nR8s3"), "it is not one line of letters", MAKE_A_TOKEN),
    "no text": (lambda path: made(path, "käse" * 8), "not one line of letters, digits and signs", MAKE_A_TOKEN),
    "endless": (lambda path: made(path, "x" * 2**21), "it is longer than 1048576 bytes", "correct"),
}


@pytest.mark.parametrize("serves", [True, False], ids=["chief", "member"])
@pytest.mark.parametrize(("make", "what", "fix"), BAD_TOKENS.values(), ids=BAD_TOKENS.keys())
def test_a_bad_token_file_is_refused(
    tmp_path: Path, cluster: Cluster, make: Callable[[Path], object], what: str, fix: str, serves: bool
) -> None:
    path = tmp_path / "folder" / "token"
    if what != "it cannot be read: Not a directory":
        path.parent.mkdir()
    make(path)
    with pytest.raises(ClusterConfigError) as caught:
        Credentials.read(replace(cluster, control_files=ControlFiles(token_file=str(path))), serves=serves)
    (problem,) = caught.value.problems
    assert problem.place == f"control.token_file, {path}"
    assert what in problem.what
    assert fix in problem.fix


AS_A_PODS_USER = """
import os, sys
from autodist_saved.cluster import ControlFiles
from autodist_saved.control.security.credentials import Credentials
from autodist_saved.errors import ClusterConfigError
os.setgroups([12345])
os.setgid(12346)
os.setuid(65534)
for path in sys.argv[1:]:
    try:
        print(Credentials.read_as_visitor(ControlFiles(token_file=path)).token)
    except ClusterConfigError as error:
        print(error.problems[0].what)
"""


@pytest.mark.root
def test_a_token_that_a_group_of_the_process_may_read_is_taken(tmp_path: Path) -> None:
    """So Kubernetes mounts secrets for processes that are not root's: root's own, with the group of the pod."""
    of_group = {(0o440, 12345): True, (0o640, 12346): True, (0o660, 12345): False, (0o444, 12345): False}
    of_others = {(0o400, 12345): None, (0o440, 12347): None}
    paths = []
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:  # pytest's is for root alone
        Path(folder).chmod(0o755)
        for mode, group in {**of_group, **of_others}:
            paths.append(made(Path(folder) / f"{mode:o}-{group}", mode=mode))
            os.chown(paths[-1], 0, group)
            os.chmod(paths[-1], mode)  # noqa: PTH101 - a change of the owner may take bits away
        command = [sys.executable, "-c", AS_A_PODS_USER, *paths]
        answers = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert answers[:2] == [TOKEN, TOKEN]
    assert answers[2:4] == [f"others than its owner may use it (mode {mode})" for mode in ("0660", "0444")]
    assert answers[4:] == ["it cannot be read: Permission denied"] * 2
    foreign = made(tmp_path / "token", mode=0o440)
    os.chown(foreign, 0, 12347)
    with pytest.raises(ClusterConfigError, match=r"others than its owner may use it \(mode 0440\)"):
        Credentials.read_as_visitor(ControlFiles(token_file=foreign))


def test_a_key_that_others_can_read_or_of_another_certificate_is_refused(
    tmp_path: Path, cluster: Cluster, chief_files: ControlFiles, member_files: ControlFiles
) -> None:
    open_key = made(tmp_path / "key", Path(str(chief_files.key)).read_text(), mode=0o644)
    for key, what in (
        (open_key, r"others than its owner may use it \(mode 0644\)"),
        (member_files.key, "it is not the key of .*chief.pem, in PEM and without a password: "),
        (chief_files.certificate, "it is not the key of .*chief.pem"),
    ):
        with pytest.raises(ClusterConfigError, match=rf"control.key, {key}: {what}"):
            ChiefService(replace(cluster, control_files=replace(chief_files, key=key)))


def test_all_bad_files_are_named_at_once(tmp_path: Path, chief_files: ControlFiles) -> None:
    text = made(tmp_path / "text", mode=0o644)
    files = ControlFiles(text, text, chief_files.key, str(tmp_path / "absent"))
    with pytest.raises(ClusterConfigError) as caught:
        ChiefService(exposed(files))
    assert [problem.place for problem in caught.value.problems] == [
        f"control.token_file, {text}",
        f"control.authority, {tmp_path}/absent",
    ]
    with pytest.raises(ClusterConfigError) as caught:
        ChiefService(exposed(replace(files, authority=text)))
    assert [problem.place for problem in caught.value.problems] == [
        f"control.token_file, {text}",
        f"control.certificate, {text}",
        f"control.authority, {text}",
    ]


def test_no_secret_is_shown(cluster: Cluster, token: ControlFiles, chief_files: ControlFiles) -> None:
    files = replace(chief_files, token_file=token.token_file)
    shown = repr(Credentials.read(replace(cluster, control_files=files), serves=True))
    assert TOKEN not in shown
    assert "PRIVATE" not in shown


# ---- tokens --------------------------------------------------------------------------------------------------


def test_the_right_token_is_let_in_and_others_are_told(
    tmp_path: Path, cluster: Cluster, serve: Serve, token: ControlFiles, caplog: pytest.LogCaptureFixture
) -> None:
    chief = serve(token)
    other = made(tmp_path / "other", "another-token-of-somebody")
    with pytest.raises(JobError) as caught:
        join(cluster, ControlFiles(token_file=other))
    assert not isinstance(caught.value, TaskUnreachableError)
    assert str(caught.value) == (
        "the chief turned this task away: it has another token than the chief; "
        f"control.token_file is {other} here: copy it from the chief's host [task: worker:0]"
    )
    with pytest.raises(JobError, match="it says no token, and the chief asks for one; control.token_file is not set"):
        join(cluster, ControlFiles())
    assert chief.workers(MemberState.EXPECTED) == ("worker:0",)
    join(cluster, token)
    assert chief.wait_for_workers(10) == ()
    lines = [record.getMessage() for record in caplog.records if "turned away" in record.getMessage()]
    assert len(lines) == 2
    assert all(line.startswith(("turned away ipv4:127.0.0.1:", "turned away ipv6:")) for line in lines)
    assert "another-token-of-somebody" not in caplog.text


def test_strangers_without_a_token_take_no_threads_and_few_lines(
    cluster: Cluster, serve: Serve, token: ControlFiles, caplog: pytest.LogCaptureFixture
) -> None:
    serve(token)
    silence = threading.Event()

    def say_nothing() -> Iterator[control_pb2.MemberMessage]:
        silence.wait(60)
        yield from ()

    with grpc.insecure_channel(str(cluster.control_address)) as channel:
        stub = control_pb2_grpc.ControlStub(channel)
        streams = [stub.Join(say_nothing(), wait_for_ready=True, timeout=30) for _ in range(2 * CALLS_MAX)]
        codes = {stream.code() for stream in streams}
        assert codes <= {
            grpc.StatusCode.UNAUTHENTICATED,
            grpc.StatusCode.UNIMPLEMENTED,
            grpc.StatusCode.UNAVAILABLE,  # too many at once on one connection
        }
        assert grpc.StatusCode.UNAUTHENTICATED in codes
        join(cluster, token)
        silence.set()
    assert len([record for record in caplog.records if "turned away" in record.getMessage()]) <= LINES_MAX


def test_refusals_that_are_not_named_are_counted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    refusals = RejectionLog()
    for number in range(25):
        refusals.note(f"peer {number}", "no token")
    now += 11
    refusals.note("peer 25", "no token")
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == LINES_MAX + 1
    assert lines[0] == "turned away peer 0: no token"
    assert lines[-1] == "turned away peer 25: no token; 15 more before, not named here"


# ---- TLS -----------------------------------------------------------------------------------------------------


def test_both_ends_prove_themselves(
    cluster: Cluster, serve: Serve, chief_files: ControlFiles, member_files: ControlFiles
) -> None:
    chief = serve(chief_files)
    join(cluster, member_files)
    assert chief.wait_for_workers(10) == ()


@pytest.mark.parametrize(
    ("files", "why"),
    [
        (
            "stranger",
            "the TLS handshake failed .*CERTIFICATE_VERIFY_FAILED.*compare control.certificate and authority",
        ),
        ("stranger's certificate", "the TLS handshake failed, the chief hung up; see whether control.authority"),
        ("no certificate", "the TLS handshake failed, the chief hung up"),
        ("no TLS", "it hangs up; see whether its control service has a certificate, and this task has none"),
    ],
)
def test_who_does_not_prove_itself_is_told_that_the_handshake_failed(
    cluster: Cluster,
    serve: Serve,
    chief_files: ControlFiles,
    stranger_files: ControlFiles,
    authority: Authority,
    files: str,
    why: str,
) -> None:
    chief = serve(chief_files)
    shown = {
        "stranger": stranger_files,
        "stranger's certificate": replace(stranger_files, authority=authority.path),
        "no certificate": ControlFiles(certificate=authority.path, key=authority.path),
        "no TLS": ControlFiles(),
    }[files]
    with pytest.raises(TaskUnreachableError, match=rf"waited 1 s for chief:0 .* in vain: {why}.*; start the chief"):
        join(cluster, shown, BRIEF)
    assert chief.workers(MemberState.EXPECTED) == ("worker:0",)


def test_a_certificate_for_another_host_is_not_the_chiefs(
    cluster: Cluster, serve: Serve, member_files: ControlFiles
) -> None:
    serve(member_files)
    with pytest.raises(TaskUnreachableError, match="the TLS handshake failed"):
        join(cluster, member_files, BRIEF)


def test_a_member_with_tls_does_not_talk_to_a_chief_without(
    cluster: Cluster, serve: Serve, member_files: ControlFiles
) -> None:
    serve(ControlFiles())
    with pytest.raises(TaskUnreachableError, match="the TLS handshake failed"):
        join(cluster, member_files, BRIEF)


def test_a_token_can_be_said_behind_the_chiefs_certificate_alone(
    tmp_path: Path, cluster: Cluster, serve: Serve, token: ControlFiles, chief_files: ControlFiles
) -> None:
    serve(ControlFiles(token.token_file, chief_files.certificate, chief_files.key))
    absent = str(tmp_path / "a key that is on the chief's host only")
    join(cluster, ControlFiles(token.token_file, chief_files.certificate, absent))
    with pytest.raises(JobError, match="it says no token"):
        join(cluster, ControlFiles(None, chief_files.certificate, absent))


def test_token_and_mutual_tls_are_both_asked_for(
    cluster: Cluster, serve: Serve, token: ControlFiles, chief_files: ControlFiles, member_files: ControlFiles
) -> None:
    serve(replace(chief_files, token_file=token.token_file))
    with pytest.raises(JobError, match="it says no token"):
        join(cluster, member_files)
    with pytest.raises(TaskUnreachableError, match="it hangs up"):
        join(cluster, token, BRIEF)
    join(cluster, replace(member_files, token_file=token.token_file))


# ---- threads and messages ------------------------------------------------------------------------------------


def test_the_stream_that_has_been_silent_longest_makes_room(
    cluster: Cluster, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending_streams, "HELLO_SECS", 60.0)
    serve(ControlFiles())
    silence = threading.Event()

    def say_nothing() -> Iterator[control_pb2.MemberMessage]:
        silence.wait(60)
        yield from ()

    channels = [
        grpc.insecure_channel(str(cluster.control_address), [("grpc.use_local_subchannel_pool", 1)])
        for _ in range(3 * pending_streams.STREAMS_MAX)
    ]
    streams = [control_pb2_grpc.ControlStub(each).Join(say_nothing(), wait_for_ready=True) for each in channels]
    join(cluster, ControlFiles())
    silence.set()
    for stream, channel in zip(streams, channels, strict=True):
        stream.cancel()
        channel.close()


def test_calls_of_another_service_take_no_thread_that_members_need(cluster: Cluster) -> None:
    chief = ChiefService(cluster)
    ends = threading.Event()

    def endless(request: bytes, context: grpc.ServicerContext) -> bytes:
        ends.wait()
        return threading.current_thread().name.encode()

    handlers = {"Endless": grpc.unary_unary_rpc_method_handler(endless, request_deserializer=bytes)}
    chief._server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Another", handlers)])
    chief.start()
    channels = [
        grpc.insecure_channel(str(cluster.control_address), [("grpc.use_local_subchannel_pool", 1)])
        for _ in range(CALLS_MAX // 2)
    ]
    refused = threading.Semaphore(0)
    calls = [
        channel.unary_unary("/test.Another/Endless").future(b"", wait_for_ready=True) for channel in 3 * channels
    ]
    for call in calls:
        call.add_done_callback(lambda _: refused.release())
    # Until no call can end but those that are too many, all others have arrived and hold what they can get hold of.
    for _ in range(len(calls) - CALLS_MAX):
        refused.acquire()
    join(cluster, ControlFiles())
    ends.set()
    codes = Counter(call.code() for call in calls)
    assert codes == {grpc.StatusCode.OK: CALLS_MAX, grpc.StatusCode.UNIMPLEMENTED: len(calls) - CALLS_MAX}
    answers = {call.result().partition(b"_")[0] for call in calls if call.code() is grpc.StatusCode.OK}
    assert answers == {b"control-console"}
    for channel in channels:
        channel.close()
    chief.end_job(succeeded=False, reason="the test is over")


def test_a_member_that_sends_what_is_no_message_loses_its_stream_and_no_other_does(
    cluster: Cluster, serve: Serve
) -> None:
    chief = serve(ControlFiles())
    member = MemberClient(cluster.for_task("ps:0"), PATIENT)
    member.join()
    process = control_pb2.Process(task="worker:0")
    hello = control_pb2.MemberMessage(hello=control_pb2.Hello(job=job_digest(cluster), process=process))
    with grpc.insecure_channel(str(cluster.control_address)) as channel:
        call = channel.stream_stream("/autodist_saved.control.Control/Join")
        answers = call(iter([hello.SerializeToString(), b"\xff"]), wait_for_ready=True, timeout=20)
        with pytest.raises(grpc.RpcError, match="CANCELLED"):
            list(answers)
    assert chief._wait_for(lambda: chief.workers(MemberState.LOST), 20)
    assert [str(each.task) for each in chief.members() if each.state is MemberState.JOINED] == ["ps:0"]
    member.leave()


@pytest.mark.slow
def test_bytes_that_are_no_message_end_their_stream_without_a_traceback(
    cluster: Cluster, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    serve(ControlFiles())
    member = MemberClient(cluster.for_task("ps:0"), PATIENT)
    member.join()
    with grpc.insecure_channel(str(cluster.control_address)) as channel:
        call = channel.stream_stream("/autodist_saved.control.Control/Join")
        for nonsense in 50 * (b"\xff" * 10, b"x" * 2**17):  # more than one connection may have open
            with pytest.raises(grpc.RpcError, match="PERMISSION_DENIED|RESOURCE_EXHAUSTED"):
                next(call(iter([nonsense]), wait_for_ready=True, timeout=20))
    assert not member.is_over()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    member.leave()
