"""A fenced server of this process hears the allowed and nobody else; plain connections, without TensorFlow."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from autodist_saved.fencing import Endpoint, Fence, FenceError, endpoints_to, process_sockets
from autodist_saved.fencing.mute_filter import is_mute
from tests.fencing.listening import Client, Listening, wait_until
from tests.support.patience import PATIENCE_SECS

# Where a fence has to fail: as short as can be, for nothing else ends the wait.
SHORT_SECS = 0.3
Connect = Callable[[], Client]


@pytest.fixture(params=[("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("::", "127.0.0.1"), ("::", "::1")])
def places(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Where the server listens and where its clients look for it: IPv4, IPv6, and IPv4 that comes by IPv6."""
    pair: tuple[str, str] = request.param
    return pair


@pytest.fixture
def server() -> Iterator[Listening]:
    with Listening() as server:
        yield server


@pytest.fixture
def fence(server: Listening) -> Iterator[Fence]:
    fence = Fence(server.port)
    yield fence
    fence.lift()


@pytest.fixture
def connect(server: Listening) -> Iterator[Connect]:
    clients = []

    def connect() -> Client:
        clients.append(Client(server.port))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


@pytest.fixture
def aside() -> Iterator[ThreadPoolExecutor]:
    """A thread beside that of the test."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


def is_going_up(server: Listening) -> bool:
    sockets = process_sockets.tcp_sockets()
    return any(process_sockets.local_end(each).port == server.port and is_mute(each) for each in sockets)


def is_heard_when_allowed(server: Listening, fence: Fence, client: Client) -> bool:
    fence.allow(client.end)
    return bool(server.heard(client))


def heard(server: Listening, client: Client, word: bytes) -> None:
    client.say(word)
    server.wait_for(client, word)


def test_the_allowed_are_heard_and_nobody_else_until_the_fence_is_lifted(places: tuple[str, str]) -> None:
    listens, dialled = places
    with Listening(listens) as server:
        fence = Fence(server.port)
        live, lost = Client(server.port, dialled), Client(server.port, dialled)
        heard(server, live, b"live")
        heard(server, lost, b"lost")
        assert fence.shut_out({live.end}, PATIENCE_SECS) == (lost.end,)
        lost.wait_for_end()
        heard(server, live, b"goes on")
        late = Client(server.port, dialled)
        late.say(b"a step that was on its way")
        newcomer = Client(server.port, dialled)
        newcomer.say(b"let in")
        heard(server, live, b"still")
        assert server.heard(newcomer) == b""
        wait_until(lambda: is_heard_when_allowed(server, fence, newcomer))
        assert not late.has_ended()
        fence.lift()
        late.wait_for_end()
        assert server.heard(late) == b""
        again = Client(server.port, dialled)
        for client in (live, newcomer, again):
            heard(server, client, b"after it")
            client.close()
        lost.close()
        late.close()


def test_it_can_be_put_up_again_with_others_allowed(server: Listening, fence: Fence, connect: Connect) -> None:
    first, second = connect(), connect()
    heard(server, first, b"1")
    heard(server, second, b"2")
    assert fence.shut_out({first.end}, PATIENCE_SECS) == (second.end,)
    third = connect()
    third.say(b"3")
    assert fence.shut_out({third.end}, PATIENCE_SECS) == (first.end,)
    server.wait_for(third, b"3")
    assert not third.has_ended()


def test_what_was_sent_before_is_taken_up_first(
    server: Listening, fence: Fence, connect: Connect, aside: ThreadPoolExecutor
) -> None:
    """TensorFlow loses the cancellation of a request that it has not taken up."""
    server.reads.clear()
    client = connect()
    client.say(b"x")  # the thread that reads may have waited for this one
    client.say(b"sent before")
    going_up = aside.submit(fence.shut_out, (), PATIENCE_SECS)
    wait_until(lambda: is_going_up(server))
    assert not client.has_ended()
    server.reads.set()
    assert going_up.result() == (client.end,)
    assert server.heard(client) == b"xsent before"


def test_connections_that_nobody_has_accepted_yet_are_ended_too(
    server: Listening, fence: Fence, connect: Connect, aside: ThreadPoolExecutor
) -> None:
    server.accepts.clear()
    clients = [connect() for _ in range(3)]  # the thread that accepts may have waited for one
    going_up = aside.submit(fence.shut_out, (), PATIENCE_SECS)
    wait_until(lambda: is_going_up(server))
    server.accepts.set()
    assert set(going_up.result()) == {client.end for client in clients}


def test_mute_connections_that_nobody_has_accepted_yet_are_ended_when_it_is_lifted(
    server: Listening, fence: Fence, connect: Connect, aside: ThreadPoolExecutor
) -> None:
    server.accepts.clear()
    heard(server, connect(), b"the thread that accepts had waited for this one")
    fence.shut_out((), PATIENCE_SECS)
    late = connect()
    late.say(b"late")
    lifting = aside.submit(fence.lift)
    wait_until(lambda: not is_going_up(server))
    server.accepts.set()
    late.wait_for_end()
    lifting.result()
    assert server.heard(late) == b""


def test_a_connection_in_use_has_time_to_fall_silent(
    server: Listening, fence: Fence, connect: Connect, aside: ThreadPoolExecutor
) -> None:
    client = connect()
    heard(server, client, b"a step begins")
    going_up = aside.submit(fence.shut_out, (), PATIENCE_SECS)
    wait_until(lambda: is_going_up(server))
    heard(server, client, b"and ends")
    assert going_up.result() == (client.end,)


def test_one_that_never_falls_silent_is_ended(server: Listening, fence: Fence) -> None:
    talk = f"exec 3<>/dev/tcp/127.0.0.1/{server.port}; while echo talk >&3; do sleep 0.01; done 2>/dev/null"
    talking = subprocess.Popen(["bash", "-c", talk])  # not this process, which would never rest
    try:
        wait_until(lambda: server.said > 0)
        (ended,) = fence.shut_out((), 2.0)
        assert ended.host == "127.0.0.1"
        talking.wait(PATIENCE_SECS)
    finally:
        talking.kill()
        talking.wait()


def test_an_endpoint_that_is_unknown_is_refused_before_anything_is_done(
    server: Listening, fence: Fence, connect: Connect
) -> None:
    client = connect()
    heard(server, client, b"before")
    with pytest.raises(FenceError, match=r"no connection from 10\.1\.2\.3:4, .*translated on the way"):
        fence.shut_out({client.end, Endpoint("10.1.2.3", 4)}, PATIENCE_SECS)
    heard(server, client, b"after")
    heard(server, connect(), b"new")


def test_without_a_server_there_is_no_fence(server: Listening) -> None:
    with pytest.raises(FenceError, match=f"no TensorFlow server of this process listens at port {server.port + 1}"):
        Fence(server.port + 1).shut_out((), PATIENCE_SECS)


def test_a_process_that_never_rests_cannot_be_fenced_and_hears_everybody_again(
    server: Listening, fence: Fence, connect: Connect, aside: ThreadPoolExecutor
) -> None:
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            sum(range(1000))

    working = aside.submit(work)
    try:
        with pytest.raises(FenceError, match="did not rest in time"):
            fence.shut_out((), SHORT_SECS)
    finally:
        over.set()
        working.result()
    heard(server, connect(), b"new")


def test_lifting_it_ends_the_wait_for_it(
    server: Listening, fence: Fence, connect: Connect, aside: ThreadPoolExecutor
) -> None:
    server.reads.clear()
    client = connect()
    client.say(b"x")
    client.say(b"unread")
    going_up = aside.submit(fence.shut_out, (), PATIENCE_SECS)
    wait_until(lambda: is_going_up(server))
    fence.lift()
    with pytest.raises(FenceError, match="the cut was over"):
        going_up.result()
    server.reads.set()
    heard(server, connect(), b"new")


def test_a_machine_without_proc_cannot(monkeypatch: pytest.MonkeyPatch, server: Listening, tmp_path: Path) -> None:
    monkeypatch.setattr(process_sockets, "_DESCRIPTORS", tmp_path / "proc")
    with pytest.raises(FenceError, match="does not tell a process its connections"):
        Fence(server.port).shut_out((), PATIENCE_SECS)


def test_a_task_knows_its_connections_to_another_one(server: Listening, connect: Connect) -> None:
    with Listening() as other:
        clients = {connect(), connect()}
        stranger = Client(other.port)
        for name in ("localhost", "127.0.0.1"):
            assert endpoints_to(f"{name}:{server.port}") == {client.end for client in clients}
        stranger.close()
    assert endpoints_to(f"127.0.0.1:{other.port}") == set()
    with pytest.raises(FenceError, match="the name in nowhere.invalid:1 is not known here"):
        endpoints_to("nowhere.invalid:1")
