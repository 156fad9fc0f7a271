"""Chief and parameter servers, each with its own code, in threads of this process and over real connections."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import socket
import struct
import tempfile
import threading
import tracemalloc
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from autodist_saved.bundle import crc32c
from autodist_saved.errors import ExportError, TargetUnwritableError, TaskUnreachableError
from autodist_saved.transport import chief_connection as line_module
from autodist_saved.transport import rendezvous, server_connection
from autodist_saved.transport.chief_connection import ChiefConnection, StagedSpan
from autodist_saved.transport.messages import (
    MESSAGE_BYTES_MAX,
    TOKEN_BYTES,
    receive_exactly,
    receive_message,
    send_message,
)
from autodist_saved.transport.rendezvous import Rendezvous
from autodist_saved.transport.server_variable import ServerVariable
from autodist_saved.transport.transport_pb2 import Attach, Probe, Reply, Request
from tests.support.connections import (
    Array,
    ArrayReader,
    Dial,
    holding,
    met,
    opening,
    random_bytes,
    stage,
    staged,
    variable_of,
    written,
)
from tests.support.patience import PATIENCE_SECS

Way = Callable[[ChiefConnection, Sequence[StagedSpan], Path], Iterator[list[int]]]

WAYS: dict[str, Way] = {
    "receive": lambda connection, spans, path: connection.receive(spans, path),
    "write": lambda connection, spans, path: connection.write(spans, path, sync=False),
    "write and flush": lambda connection, spans, path: connection.write(spans, path, sync=True),
}
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


@contextmanager
def _dialed_by(dial: Dial) -> Iterator[socket.socket]:
    """The chief's end of a connection to a task, which is a thread, after its token."""
    token = b"t" * TOKEN_BYTES
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=dial, args=(listener.getsockname(), token))
        thread.start()
        connection, _ = listener.accept()
    with connection:
        connection.settimeout(PATIENCE_SECS)
        assert receive_exactly(connection, TOKEN_BYTES) == token
        yield connection
    thread.join(PATIENCE_SECS)
    assert not thread.is_alive()


def _flat(batches: Iterator[list[int]]) -> list[int]:
    return [crc for some in batches for crc in some]


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a Path would open one more


def test_attaching_names_the_variables_to_the_task_and_tells_those_that_are_not_there() -> None:
    asked: list[ServerVariable] = []

    def open_variables(variables: Sequence[ServerVariable]) -> ArrayReader:
        asked.extend(variables)
        return ArrayReader([np.zeros(3), np.zeros(2)], variables)

    variables = [
        ServerVariable("1", "box", "float64", reference=False, shape=(2,)),
        ServerVariable("", "", "float32", reference=True, shape=()),
        ServerVariable("0", "", "float64", reference=False, shape=None),
    ]
    with met({"ps:0": opening(open_variables)}) as connections:
        assert connections["ps:0"].attach(variables, "memory", keep=False) == {1}
        assert connections["ps:0"].stage()[:2] == (False, {2: (3,)})
    assert asked == variables


@pytest.mark.parametrize("staging", ["memory", "parked"])
def test_staging_tells_what_it_did_and_the_shapes_that_were_planned_otherwise(staging: str) -> None:
    arrays: list[Array] = [np.zeros((3, 4), np.float32), np.array(5, np.int64), np.zeros((0, 2), np.int8)]
    with met({"ps:0": holding(*arrays)}) as connections:
        staged = stage(connections["ps:0"], *arrays, staging=staging)
        assert staged[:2] == (staging == "parked", {})
        assert staged.memory.staged == (0 if staging == "parked" else 56)
        assert staged.memory.resident > 2**20, "of a whole process"
        variables = [variable_of(number, array)._replace(shape=(4, 3)) for number, array in enumerate(arrays)]
        connections["ps:0"].attach(variables, staging, keep=False)
        assert connections["ps:0"].stage().shapes == {0: (3, 4), 1: (), 2: (0, 2)}


@pytest.mark.parametrize("staging", ["memory", "parked"])
def test_ranges_are_read_without_a_file(staging: str) -> None:
    arrays = [random_bytes(10_000), np.arange(6.0)]
    with staged(*arrays, staging=staging) as connection:
        assert connection.read(0, 100, 50).tobytes() == arrays[0][100:150].tobytes()
        assert connection.read(1, 8, 16).view(np.float64).tolist() == [1, 2]
        assert connection.read(1, 48, 0).tobytes() == b""
        assert connection.read(0, 0, 10_000).tobytes() == arrays[0].tobytes()
        with pytest.raises(TaskUnreachableError, match="ps:0"):
            connection.read(0, 9_999, 2)


def test_copies_do_not_follow_their_variable_and_parked_ones_do() -> None:
    for staging, seen in (("memory", 1), ("parked", 2)):
        array = np.ones(10, np.uint8)
        with staged(array, staging=staging) as connection:
            array[:] = 2
            assert set(connection.read(0, 0, 10).tolist()) == {seen}


def test_what_was_discarded_is_there_no_more_and_can_be_staged_again() -> None:
    array = random_bytes(10)
    with staged(array) as connection:
        connection.discard()
        connection.discard()
        stage(connection, array)
        assert connection.read(0, 0, 10).tobytes() == array.tobytes()
        connection.discard()
        with pytest.raises(ExportError, match="ps:0 .* nothing is attached"):
            connection.stage()
    with staged(array) as connection:
        connection.discard()
        with pytest.raises(TaskUnreachableError, match="ps:0"):
            connection.read(0, 0, 10)


@pytest.mark.parametrize("array", [np.arange(6.0), np.array(3, np.int32), np.arange(12).reshape(3, 4).T], ids=repr)
@every_way
def test_a_copy_comes_row_major_however_it_lies_in_memory(tmp_path: Path, array: Array, way: Way) -> None:
    path = written(tmp_path / "data", array.nbytes)
    with staged(array) as connection:
        list(way(connection, [StagedSpan(0, 0, array.nbytes, 0)], path))
    assert path.read_bytes() == array.tobytes()


def _many_small_ones_side_by_side() -> list[StagedSpan]:
    return [StagedSpan(number % 2, 7 * number, 7, 3 + 7 * number) for number in range(10_000)]


def _larger_than_a_batch() -> list[StagedSpan]:
    return [StagedSpan(0, 5, 2**25 + 2**20, 0), StagedSpan(1, 0, 4 * 2**20, 2**25 + 2**20)]


def _several_batches() -> list[StagedSpan]:
    return [StagedSpan(number % 2, 1, 12 * 2**20, number * 12 * 2**20) for number in range(4)]


def _backwards_with_gaps() -> list[StagedSpan]:
    return [StagedSpan(0, 100 * number, 60, 100_000 - 100 * number) for number in range(900)]


def _any_order() -> list[StagedSpan]:
    dice = np.random.default_rng(0)
    return [
        StagedSpan(int(dice.integers(2)), int(dice.integers(10**6)), int(dice.integers(3000)), 3000 * int(place))
        for place in dice.permutation(500)
    ]


def _some_of_nothing() -> list[StagedSpan]:
    return [StagedSpan(0, 0, 0, 0), StagedSpan(1, 4, 2, 8), StagedSpan(0, 9, 0, 3), StagedSpan(0, 9, 1, 10)]


SPANS = {
    one.__name__[1:].replace("_", " "): one
    for one in (
        _many_small_ones_side_by_side,
        _larger_than_a_batch,
        _several_batches,
        _backwards_with_gaps,
        _any_order,
        _some_of_nothing,
    )
}


@every_way
@pytest.mark.parametrize("make", SPANS.values(), ids=SPANS)
def test_spans_come_to_their_offsets_with_their_checksums(
    tmp_path: Path, make: Callable[[], list[StagedSpan]], way: Way
) -> None:
    spans = make()
    copies = [random_bytes(max(span.start + span.nbytes for span in spans), seed) for seed in range(2)]
    expected = np.full(max(span.offset + span.nbytes for span in spans) + 5, 0xEE, np.uint8)
    for span in spans:
        expected[span.offset : span.offset + span.nbytes] = copies[span.variable][
            span.start : span.start + span.nbytes
        ]
    path = written(tmp_path / "data", expected.nbytes)
    with staged(*copies) as connection:
        crcs = _flat(way(connection, spans, path))
    assert np.array_equal(np.fromfile(path, np.uint8), expected)
    of_spans = [expected[span.offset : span.offset + span.nbytes] for span in spans]
    assert crcs == [crc32c.extend(0, data) for data in of_spans]


@every_way
def test_a_line_carries_one_export_after_the_other(tmp_path: Path, way: Way) -> None:
    copy = random_bytes(100_000)
    with staged(copy) as connection:
        assert not _flat(way(connection, [], written(tmp_path / "nothing", 0)))
        for number in range(5):
            path = written(tmp_path / str(number), 50_000)
            assert len(_flat(way(connection, [StagedSpan(0, number, 50_000, 0)], path))) == 1
            assert path.read_bytes() == copy[number : number + 50_000].tobytes()
        assert connection.attach([], "auto", keep=False) == set()


def test_a_written_file_is_flushed_once_at_its_end_if_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[bytes] = []
    path = written(tmp_path / "data", 10_000)
    monkeypatch.setattr(os, "fsync", lambda _: flushed.append(path.read_bytes()))
    copy = random_bytes(10_000)
    spans = [StagedSpan(0, at, 1, at) for at in range(10_000)]
    with staged(copy) as connection:
        list(connection.write(spans, path, sync=False))
        assert not flushed
        written(path, 10_000)
        list(connection.write(spans, path, sync=True))
    assert flushed == [copy.tobytes()]


def test_several_threads_may_ask_over_one_line(tmp_path: Path) -> None:
    copy = random_bytes(300_000)
    wrong: list[int] = []

    def receive(connection: ChiefConnection, start: int) -> None:
        path = written(tmp_path / str(start), 1000)
        for _ in range(50):
            crcs = _flat(connection.receive([StagedSpan(0, start, 1000, 0)], path))
            if path.read_bytes() != copy[start : start + 1000].tobytes() or len(crcs) != 1:
                wrong.append(start)
            if not connection.sees(path, path.read_bytes()):
                wrong.append(start)

    with staged(copy) as connection:
        threads = [threading.Thread(target=receive, args=(connection, start)) for start in range(0, 8000, 1000)]
        for thread in threads:
            thread.start()
        path = written(tmp_path / "data", copy.nbytes)
        list(connection.receive([StagedSpan(0, at, 10, at) for at in range(0, copy.nbytes, 10)], path))
        for thread in threads:
            thread.join()
    assert not wrong
    assert path.read_bytes() == copy.tobytes()


def test_a_task_sees_a_file_only_with_its_contents(tmp_path: Path) -> None:
    (tmp_path / "probe").write_bytes(b"just now")
    (tmp_path / "other").write_bytes(b"just now, and more")
    os.mkfifo(tmp_path / "pipe")
    with staged() as connection:
        assert connection.sees(tmp_path / "probe", b"just now")
        assert not connection.sees(tmp_path / "other", b"just now")
        assert not connection.sees(tmp_path / "missing", b"just now")
        assert not connection.sees(tmp_path, b"just now")
        assert not connection.sees(tmp_path, b"")
        assert not connection.sees(tmp_path / "pipe", b"just now")
        assert not connection.sees(Path("/dev/zero"), b"\0")
        assert connection.sees(tmp_path / "probe", b"just now")


def test_a_task_does_not_see_what_it_may_not_write() -> None:
    # In a process of its own, which is nobody: root may write everything.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        probe = Path(folder) / "probe"
        probe.write_bytes(b"x")
        seen = {}
        for mode in (0o444, 0o666):
            probe.chmod(mode)
            child = os.fork()
            if not child:
                if os.geteuid() == 0:
                    os.setuid(65534)
                os._exit(int(server_connection._sees(Probe(path=os.fsencode(probe), contents=b"x"))))
            seen[mode] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert seen == {0o444: 0, 0o666: 1}


@every_way
def test_any_path_that_a_file_system_has_will_do(tmp_path: Path, way: Way) -> None:
    path = written(tmp_path / os.fsdecode(b"\xff and \xc3\xa4"), 10)
    with staged(random_bytes(10)) as connection:
        assert connection.sees(path, path.read_bytes())
        list(way(connection, [StagedSpan(0, 0, 10, 0)], path))
    assert path.read_bytes() == random_bytes(10).tobytes()


@every_way
@pytest.mark.parametrize("place", ["missing/data", "."], ids=["no such directory", "a directory"])
def test_a_file_that_cannot_be_written_is_told(tmp_path: Path, way: Way, place: str) -> None:
    path = tmp_path / place
    with (
        staged(random_bytes(10)) as connection,
        pytest.raises(TargetUnwritableError, match=re.escape(str(path))) as caught,
    ):
        list(way(connection, [StagedSpan(0, 0, 10, 0)], path))
    assert caught.value.path == str(path)


@pytest.mark.parametrize("sync", [False, True])
def test_the_task_that_cannot_write_is_named(tmp_path: Path, sync: bool) -> None:
    with (
        staged(random_bytes(10)) as connection,
        pytest.raises(TargetUnwritableError, match=r"ps:0 cannot write .*No such file.*transport='stream'") as caught,
    ):
        list(connection.write([StagedSpan(0, 0, 10, 0)], tmp_path / "missing" / "data", sync=sync))
    assert (caught.value.task, caught.value.path) == ("ps:0", str(tmp_path / "missing" / "data"))


def test_a_task_writes_through_no_link(tmp_path: Path) -> None:
    target = written(tmp_path / "of somebody else", 10)
    (tmp_path / "data").symlink_to(target)
    with staged(random_bytes(10)) as connection, pytest.raises(TargetUnwritableError, match="ps:0"):
        list(connection.write([StagedSpan(0, 0, 10, 0)], tmp_path / "data", sync=False))
    assert target.read_bytes() == b"\xee" * 10


def test_a_task_creates_no_file_of_its_own(tmp_path: Path) -> None:
    with staged(random_bytes(10)) as connection, pytest.raises(TargetUnwritableError, match="No such file"):
        list(connection.write([StagedSpan(0, 0, 10, 0)], tmp_path / "data", sync=False))
    assert not list(tmp_path.iterdir())


def test_variables_that_cannot_be_opened_are_told_with_the_reason() -> None:
    def open_variables(variables: Sequence[ServerVariable]) -> ArrayReader:
        raise LookupError(f"there is no {variables[0].name}")

    with (
        met({"ps:3": opening(open_variables)}) as connections,
        pytest.raises(ExportError, match=r"ps:3 cannot send its variables: LookupError: there is no emb") as caught,
    ):
        connections["ps:3"].attach([variable_of("emb", np.zeros(1))], "memory", keep=False)
    assert caught.value.task == "ps:3"


OUT_OF_BOUNDS = {
    "more than it has": StagedSpan(0, 0, 11, 0),
    "past its end": StagedSpan(0, 10, 1, 0),
    "another copy": StagedSpan(1, 0, 1, 0),
}


@every_way
@pytest.mark.parametrize("span", OUT_OF_BOUNDS.values(), ids=OUT_OF_BOUNDS)
def test_what_a_copy_does_not_hold_is_refused_and_never_made_up(tmp_path: Path, way: Way, span: StagedSpan) -> None:
    path = written(tmp_path / "data", 20)
    with (
        staged(random_bytes(10)) as connection,
        pytest.raises((TaskUnreachableError, TargetUnwritableError), match="ps:0"),
    ):
        list(way(connection, [StagedSpan(0, 0, 5, 0), span], path))
    assert path.read_bytes() == b"\xee" * 20


def test_strings_cannot_be_staged() -> None:
    strings = np.array([b"a"], object)
    with met({"ps:0": holding(strings)}) as connections, pytest.raises(ExportError, match="ps:0"):
        stage(connections["ps:0"], strings)


class _Living:
    """Opens arrays that are made to be read, and knows which of them are still held by somebody."""

    absent: frozenset[int] = frozenset()

    def __init__(self) -> None:
        self._arrays: list[weakref.ref[Array]] = []
        self.closed = 0

    def open(self, variables: Sequence[ServerVariable]) -> _Living:
        return self

    def read(self) -> dict[int, Array]:
        arrays = {number: random_bytes(1000, number) for number in range(2)}
        self._arrays = [weakref.ref(array) for array in arrays.values()]
        return arrays

    def close(self) -> None:
        self.closed += 1

    @property
    def held(self) -> list[bool]:
        return [one() is not None for one in self._arrays]


def test_no_variable_is_held_any_more_when_copies_were_staged() -> None:
    living = _Living()
    with met({"ps:0": opening(living.open)}) as connections:
        stage(connections["ps:0"], random_bytes(1000), random_bytes(1000))
        assert living.held == [False, False]
        assert connections["ps:0"].read(1, 0, 1000).tobytes() == random_bytes(1000, 1).tobytes()


@pytest.mark.parametrize("how", ["discard", "close"])
def test_parked_variables_are_held_until_they_are_discarded_or_the_line_is_closed(tmp_path: Path, how: str) -> None:
    living = _Living()
    with met({"ps:0": opening(living.open)}) as connections:
        stage(connections["ps:0"], random_bytes(1000), random_bytes(1000), staging="parked")
        list(connections["ps:0"].receive([StagedSpan(1, 0, 1000, 0)], written(tmp_path / "data", 1000)))
        assert living.held == [True, True]
        getattr(connections["ps:0"], how)()
        if how == "discard":
            assert living.held == [False, False]
            assert living.closed == 1
    assert living.held == [False, False]
    assert living.closed == 1


def _answering_half(*, reset: bool) -> Dial:
    """A task that sends half of the bytes that it is asked for, and is gone."""

    def dial(address: tuple[str, int], token: bytes) -> None:
        with socket.create_connection(address) as connection:
            connection.sendall(token)
            request = receive_message(connection, Request)
            assert request is not None
            nbytes = sum(span.nbytes for span in request.move.spans)
            connection.sendall(struct.pack("<I", nbytes) if request.move.path else b"")
            connection.sendall(bytes(nbytes // 2))
            if reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return dial


def _receive(connection: ChiefConnection, path: Path) -> None:
    list(connection.receive([StagedSpan(0, 0, 1000, 0)], written(path, 1000)))


def _write(connection: ChiefConnection, path: Path) -> None:
    list(connection.write([StagedSpan(0, 0, 1000, 0)], path, sync=False))


def _attach(connection: ChiefConnection, path: Path) -> None:
    connection.attach([], "auto", keep=False)


def _stage_it(connection: ChiefConnection, path: Path) -> None:
    connection.stage()


def _read_it(connection: ChiefConnection, path: Path) -> None:
    connection.read(0, 0, 1000)


def _discard(connection: ChiefConnection, path: Path) -> None:
    connection.discard()


def _see(connection: ChiefConnection, path: Path) -> None:
    connection.sees(path, b"x")


CALLS = {call.__name__[1:]: call for call in (_receive, _write, _attach, _see, _stage_it, _read_it, _discard)}


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("call", [_receive, _write, _read_it], ids=["receive", "write", "read"])
def test_a_task_that_dies_within_an_answer_is_named_and_never_asked_again(
    tmp_path: Path, call: Callable[[ChiefConnection, Path], None], reset: bool
) -> None:
    with met({"ps:1": _answering_half(reset=reset)}) as connections:
        with pytest.raises(TaskUnreachableError, match="ps:1 disappeared while it sent its variables") as caught:
            call(connections["ps:1"], tmp_path / "data")
        assert caught.value.task == "ps:1"
        for later in CALLS.values():
            with pytest.raises(TaskUnreachableError, match="ps:1"):
                later(connections["ps:1"], tmp_path / "data")


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_task_that_is_gone_already_is_named(tmp_path: Path, call: Callable[[ChiefConnection, Path], None]) -> None:
    gone = threading.Event()

    def dial(address: tuple[str, int], token: bytes) -> None:
        with socket.create_connection(address) as connection:
            connection.sendall(token)
        gone.set()

    with met({"ps:0": dial}) as connections:
        gone.wait(PATIENCE_SECS)
        with pytest.raises(TaskUnreachableError, match="ps:0"):
            call(connections["ps:0"], tmp_path / "data")


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_task_that_falls_silent_is_given_up_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[[ChiefConnection, Path], None]
) -> None:
    monkeypatch.setattr(line_module, "SILENCE_SECS", 0.1)
    monkeypatch.setattr(line_module, "ATTACHING_SECS", 0.1)

    def dial(address: tuple[str, int], token: bytes) -> None:
        with socket.create_connection(address) as connection:
            connection.sendall(token)
            assert receive_message(connection, Request) is not None
            while receive_message(connection, Request) is not None:
                send_message(connection, Reply(sees=True))

    with met({"ps:0": dial}) as connections:
        with pytest.raises(TaskUnreachableError, match="ps:0"):
            call(connections["ps:0"], tmp_path / "data")
        with pytest.raises(TaskUnreachableError, match="ps:0"):
            _see(connections["ps:0"], tmp_path / "data")


@every_way
def test_a_line_that_failed_is_dead_rather_than_out_of_step(tmp_path: Path, way: Way) -> None:
    with staged(random_bytes(10_000)) as connection:
        with pytest.raises(TargetUnwritableError):
            list(way(connection, [StagedSpan(0, at, 1, at) for at in range(10_000)], tmp_path / "missing" / "data"))
        path = written(tmp_path / "data", 4)
        try:
            list(connection.receive([StagedSpan(0, 0, 4, 0)], path))
        except TaskUnreachableError:
            return
        assert path.read_bytes() == random_bytes(4).tobytes()


@every_way
def test_giving_up_halfway_hangs_up(tmp_path: Path, way: Way) -> None:
    with staged(random_bytes(10_000)) as connection:
        batches = way(
            connection, [StagedSpan(0, at, 1, at) for at in range(10_000)], written(tmp_path / "data", 10_000)
        )
        next(batches)
        del batches
        for later in CALLS.values():
            with pytest.raises(TaskUnreachableError, match="ps:0"):
                later(connection, tmp_path / "later")


@pytest.mark.parametrize("told", [0, 1, 3])
@pytest.mark.parametrize("call", ["receive", "write"])
def test_another_number_of_checksums_than_of_ranges_is_never_matched_up(tmp_path: Path, call: str, told: int) -> None:
    def dial(address: tuple[str, int], token: bytes) -> None:
        with socket.create_connection(address) as connection:
            connection.sendall(token)
            request = receive_message(connection, Request)
            assert request is not None
            connection.sendall(b"" if request.move.path else bytes(8))
            send_message(connection, Reply(crc32c=[1] * told))
            assert receive_message(connection, Request) is None

    spans = [StagedSpan(0, 0, 4, 0), StagedSpan(0, 4, 4, 4)]
    with met({"ps:0": dial}) as connections:
        with pytest.raises(TaskUnreachableError, match=rf"ps:0 .*{told} checksums arrived for 2 ranges"):
            list(WAYS[call](connections["ps:0"], spans, written(tmp_path / "data", 8)))
        with pytest.raises(TaskUnreachableError, match="ps:0"):
            _attach(connections["ps:0"], tmp_path)


def test_another_version_is_told_in_words() -> None:
    with _dialed_by(holding()) as connection:
        send_message(connection, Request())
        reply = receive_message(connection, Reply)
    assert reply is not None
    assert "another version" in reply.error


def _say_nothing(connection: socket.socket, token: bytes) -> None:
    pass


def _hang_up(connection: socket.socket, token: bytes) -> None:
    connection.shutdown(socket.SHUT_WR)


def _say_something_else(connection: socket.socket, token: bytes) -> None:
    connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")


def _say_half_of_it(connection: socket.socket, token: bytes) -> None:
    connection.sendall(token[:-1])
    connection.shutdown(socket.SHUT_WR)


def _say_it_wrong(connection: socket.socket, token: bytes) -> None:
    connection.sendall(bytes([*token[:-1], token[-1] ^ 1]))


STRANGERS = {
    stranger.__name__[1:].replace("_", " "): stranger
    for stranger in (_say_nothing, _hang_up, _say_something_else, _say_half_of_it, _say_it_wrong)
}


def _is_closed_from_afar(connection: socket.socket) -> bool:
    try:
        return not connection.recv(1)
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
def test_a_stranger_is_turned_away_while_the_task_gets_in(
    stranger: Callable[[socket.socket, bytes], None], caplog: pytest.LogCaptureFixture
) -> None:
    strangers: list[socket.socket] = []

    def dial_after_the_stranger(address: tuple[str, int], token: bytes) -> None:
        strangers.append(socket.create_connection(address, PATIENCE_SECS))
        stranger(strangers[0], token)
        holding()(address, token)

    with met({"ps:0": dial_after_the_stranger}) as connections:
        assert connections["ps:0"].attach([], "auto", keep=False) == set()
        with strangers[0]:
            assert _is_closed_from_afar(strangers[0])
    assert [record.message for record in caplog.records] == [
        "rejected 1 connection to an export's port that did not send a valid token in time"
    ]


def test_any_number_of_slow_strangers_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendezvous, "RENDEZVOUS_SECS", 3600)
    strangers: list[socket.socket] = []
    dripped = threading.Event()
    dripping: list[threading.Thread] = []

    def drip(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it has been turned away
            while True:
                connection.sendall(b"x")
                dripped.set()
                threading.Event().wait(0.1)

    def dial_after_the_strangers(address: tuple[str, int], token: bytes) -> None:
        strangers.extend(socket.create_connection(address, PATIENCE_SECS) for _ in range(6))
        dripping.append(threading.Thread(target=drip, args=(strangers[-1],)))
        dripping[0].start()
        assert dripped.wait(PATIENCE_SECS)
        holding()(address, token)

    with met({"ps:0": dial_after_the_strangers}) as connections:
        assert connections["ps:0"].attach([], "auto", keep=False) == set()
        assert [_is_closed_from_afar(stranger) for stranger in strangers] == [True] * 6
        dripping[0].join(PATIENCE_SECS)
        assert not dripping[0].is_alive()
        for stranger in strangers:
            stranger.close()


def test_the_chief_holds_few_strangers_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes a file descriptor, and the chief has to open files while it waits."""
    monkeypatch.setattr(rendezvous, "RENDEZVOUS_SECS", 3600)
    strangers: list[socket.socket] = []

    def dial_after_the_strangers(address: tuple[str, int], token: bytes) -> None:
        for _ in range(rendezvous.STRANGERS_MAX + 40):
            strangers.append(socket.create_connection(address, PATIENCE_SECS))
        assert [_is_closed_from_afar(stranger) for stranger in strangers[:35]] == [True] * 35
        holding()(address, token)

    with met({"ps:0": dial_after_the_strangers}) as connections:
        assert connections["ps:0"].attach([], "auto", keep=False) == set()
        assert all(_is_closed_from_afar(stranger) for stranger in strangers)
        for stranger in strangers:
            stranger.close()


@pytest.mark.parametrize("call", ["attach", "stage"])
def test_a_call_that_waits_for_a_task_ends_when_the_job_knows_that_it_is_lost(call: str) -> None:
    """The task goes on to hold the connection: it is stopped, or its machine is cut off."""
    asked, go_on = threading.Event(), threading.Event()

    def hold(address: tuple[str, int], token: bytes) -> None:
        with socket.create_connection(address) as connection:
            connection.sendall(token)
            assert receive_message(connection, Request) is not None
            asked.set()
            go_on.wait(PATIENCE_SECS)

    def invite(task: str, port: int, token: bytes) -> bool:
        threads.append(threading.Thread(target=hold, args=(("127.0.0.1", port), token)))
        threads[-1].start()
        return True

    threads: list[threading.Thread] = []
    meeting = Rendezvous("127.0.0.1", invite)
    connection = meeting.connect(["ps:0"])["ps:0"]
    calls = {"attach": lambda: connection.attach([], "auto", keep=False), "stage": connection.stage}

    def lose() -> None:
        assert asked.wait(PATIENCE_SECS)
        meeting.lose("ps:1")
        meeting.lose("ps:0")

    threads.append(threading.Thread(target=lose))
    threads[-1].start()
    with pytest.raises(TaskUnreachableError, match="ps:0 is lost; look at its own output"):
        calls[call]()
    with pytest.raises(TaskUnreachableError):
        connection.discard()
    go_on.set()
    for thread in threads:
        thread.join(PATIENCE_SECS)


def test_strangers_are_closed_when_nobody_else_came(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rendezvous, "RENDEZVOUS_SECS", 0.3)
    strangers: list[socket.socket] = []

    def only_strangers(address: tuple[str, int], token: bytes) -> None:
        strangers.extend(socket.create_connection(address, PATIENCE_SECS) for _ in range(3))

    with met({"ps:0": only_strangers}) as connections:
        assert not connections
        assert [_is_closed_from_afar(stranger) for stranger in strangers] == [True] * 3
        for stranger in strangers:
            stranger.close()
    assert caplog.text.count("rejected 3 connections") == 1
    assert "ps:0 did not connect to port" in caplog.text


def test_a_token_may_come_in_pieces() -> None:
    def dial(address: tuple[str, int], token: bytes) -> None:
        with socket.create_connection(address) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in token:
                connection.sendall(bytes([byte]))
                threading.Event().wait(0.002)
            assert receive_message(connection, Request) is not None
            send_message(connection, Reply(sees=True))

    with met({"ps:0": dial}) as connections:
        assert connections["ps:0"].sees(Path("anything"), b"")


def test_where_the_chief_cannot_listen_nobody_is_invited(caplog: pytest.LogCaptureFixture) -> None:
    invited: list[str] = []

    def invite(task: str, port: int, token: bytes) -> bool:
        invited.append(task)
        return True

    assert Rendezvous("192.0.2.1", invite).connect(["ps:0"]) == {}  # an address that no machine has
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.message.startswith("cannot listen on 192.0.2.1 (")
    assert not invited


def test_a_token_lets_in_once(caplog: pytest.LogCaptureFixture) -> None:
    second_was_turned_away = threading.Event()

    def dial_twice(address: tuple[str, int], token: bytes) -> None:
        with socket.create_connection(address, PATIENCE_SECS) as first:
            first.sendall(token)
            with socket.create_connection(address, PATIENCE_SECS) as second:
                second.sendall(token)
                assert _is_closed_from_afar(second)
            second_was_turned_away.set()
            assert receive_message(first, Request) is None

    def dial_late(address: tuple[str, int], token: bytes) -> None:
        second_was_turned_away.wait(PATIENCE_SECS)
        holding()(address, token)

    with met({"ps:0": dial_twice, "ps:1": dial_late}) as connections:
        assert sorted(connections) == ["ps:0", "ps:1"]
    assert "rejected 1 connection " in caplog.text


def test_a_task_that_is_not_in_the_job_is_absent_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    asked: list[str] = []

    def invite(task: str, port: int, token: bytes) -> bool:
        asked.append(task)
        return False

    assert Rendezvous("127.0.0.1", invite).connect(["ps:0", "ps:1"]) == {}
    assert asked == ["ps:0", "ps:1"]
    assert not caplog.records


def test_a_task_that_never_dials_is_named_and_the_others_get_in(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rendezvous, "RENDEZVOUS_SECS", 0.2)

    def cut_off(address: tuple[str, int], token: bytes) -> None:
        pass

    with met({"ps:0": cut_off, "ps:1": holding(), "ps:2": cut_off}) as connections:
        assert list(connections) == ["ps:1"]
        assert connections["ps:1"].attach([], "auto", keep=False) == set()
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert re.match(r"ps:0, ps:2 did not connect to port \d+ of 127\.0\.0\.1, .* within 0\.2 s", record.message)


def test_every_line_leads_to_its_task() -> None:
    tasks = {f"ps:{number}": holding(np.zeros(number)) for number in range(12)}
    with met(tasks) as connections:
        shapes = {task: stage(connection, np.zeros(99)).shapes for task, connection in connections.items()}
        assert shapes == {f"ps:{number}": {0: (number,)} for number in range(12)}
        assert {task: connection.task for task, connection in connections.items()} == {task: task for task in tasks}


def test_they_meet_over_ipv6_too() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with met({"ps:0": holding(np.zeros(2))}, host="::1") as connections:
        assert stage(connections["ps:0"], np.zeros(2))[:2] == (False, {})


def test_a_chief_that_has_gone_is_logged_and_the_holder_ends(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
    holding()(address, b"t" * TOKEN_BYTES)
    assert f"the connection to the chief at 127.0.0.1:{address[1]} failed" in caplog.text


def _pair() -> tuple[socket.socket, socket.socket]:
    ends = socket.socketpair()
    for end in ends:
        end.settimeout(PATIENCE_SECS)
    return ends


def test_messages_come_one_after_the_other_and_then_none() -> None:
    here, there = _pair()
    attach = Request(attach=Attach(variables=b"x" * 1000))
    with there:
        with here:
            for message in (attach, Reply(), Reply(crc32c=[1, 2])):
                send_message(here, message)
        assert receive_message(there, Request) == attach
        assert receive_message(there, Reply) == Reply()
        assert receive_message(there, Reply) == Reply(crc32c=[1, 2])
        assert receive_message(there, Reply) is None


NO_MESSAGES = {
    "garbage": (struct.pack("<I", 6) + b"\xff" * 6, "are not a message"),
    "of another kind": (struct.pack("<I", 12) + b"GET / HTTP/1", "are not a message"),
    "cut in its length": (b"\x01\x00", "ended within a message"),
    "cut after its length": (struct.pack("<I", 5), "ended within a message"),
    "cut in itself": (struct.pack("<I", 5) + b"abc", "ended within a message"),
    "too long": (struct.pack("<I", MESSAGE_BYTES_MAX + 1) + b"abc", f"of {MESSAGE_BYTES_MAX + 1} bytes"),
    "much too long": (b"HTTP/1.1 400 Bad Request", "of 1347703880 bytes was announced"),
}


@pytest.mark.parametrize(("sent", "message"), NO_MESSAGES.values(), ids=NO_MESSAGES)
def test_what_is_no_message_is_refused_and_takes_no_memory(sent: bytes, message: str) -> None:
    here, there = _pair()
    with there:
        with here:
            here.sendall(sent)
        tracemalloc.start()
        try:
            with pytest.raises(ConnectionError, match=message):
                receive_message(there, Request)
            assert tracemalloc.get_traced_memory()[1] < 2**20
        finally:
            tracemalloc.stop()


def test_a_chief_that_talks_nonsense_is_left(caplog: pytest.LogCaptureFixture) -> None:
    with _dialed_by(holding()) as connection:
        connection.sendall(b"HTTP/1.1 400 Bad Request")
        assert _is_closed_from_afar(connection)
    assert "of 1347703880 bytes was announced" in caplog.text


def test_nothing_is_left_of_twenty_exports(tmp_path: Path) -> None:
    copy = random_bytes(1000)
    path = written(tmp_path / "data", 1000)

    def export(number: int) -> None:
        with met({"ps:0": holding(copy), "ps:1": _answering_half(reset=bool(number % 2))}) as connections:
            stage(connections["ps:0"], copy)
            for way in WAYS.values():
                list(way(connections["ps:0"], [StagedSpan(0, 0, 1000, 0)], path))
            with pytest.raises(TargetUnwritableError):
                list(list(WAYS.values())[number % 3](connections["ps:0"], [StagedSpan(0, 0, 1000, 0)], tmp_path))
            with pytest.raises(TaskUnreachableError):
                _receive(connections["ps:1"], path)

    gc.collect()
    before = _descriptors(), threading.active_count()
    for number in range(20):
        export(number)
    gc.collect()
    assert (_descriptors(), threading.active_count()) == before
