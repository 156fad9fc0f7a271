"""The parameter servers that take part in an export: each stages its own variables and sends them to the chief."""

from __future__ import annotations

import contextlib
import math
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

from autodist_saved.bundle.damage import reporting_unwritable
from autodist_saved.bundle.dtypes import item_bytes, numpy_dtype
from autodist_saved.errors import AutodistSavedError, ExportError
from autodist_saved.options import ExportOptions, Transport
from autodist_saved.plan import Piece, Shape
from autodist_saved.sources.source import Array
from autodist_saved.sources.transfer import Span, Transfer
from autodist_saved.system.memory import TaskMemory
from autodist_saved.transport.chief_connection import ChiefConnection, StagedSpan
from autodist_saved.transport.rendezvous import Rendezvous
from autodist_saved.transport.server_variable import ServerVariable

Result = TypeVar("Result")
Held = Mapping[str, Sequence[tuple[Piece, ServerVariable]]]


class StagedByServers(NamedTuple):
    """What parameter servers have staged.

    Attributes:
        ways: for each of them ``memory`` or ``parked``.
        shapes: by the index of a piece, where they differ from the plan.
        memory: of each of them.
    """

    ways: dict[str, str]
    shapes: dict[int, Shape]
    memory: dict[str, TaskMemory]


class ParameterServers:
    """Asks parameter servers, all at once. One thread calls it; :meth:`read` and :meth:`holds` may come from any."""

    def __init__(self) -> None:
        """Connects to nobody before :meth:`connect`."""
        self._connections: dict[str, ChiefConnection] = {}
        self._seen_by: set[str] = set()
        self._held: Held = {}
        # For each task, by the index of a piece, its place in what was attached.
        self._places: dict[str, dict[int, int]] = {}

    def connect(
        self, rendezvous: Rendezvous | None, held: Held, directory: Path | None, options: ExportOptions
    ) -> None:
        """Have them connect to the chief and get ready. A parameter server that does not connect takes no part.

        Args:
            rendezvous: of the job; None where it has none.
            held: for each parameter server the pieces that it may stage, in the order in which it does.
            directory: where the files will be written; None where no other task could write.
            options: for staging and transport.

        Raises:
            ExportError: a task cannot do what the options ask for.
            TaskUnreachableError: a task is gone.
        """
        self._held = held
        self._connections = {} if rendezvous is None else rendezvous.connect(held)
        self._seen_by = _tasks_that_see(directory, self._connections, options.transport)
        if options.transport == "shared" and (blind := sorted(held.keys() - self._seen_by)):
            place = f"{directory} of the chief" if directory else "an object store"
            raise ExportError(
                f"{', '.join(blind)} cannot write to {place}, or not to the same; "
                "mount it there with the same path, or export with transport='auto'",
                path=str(directory) if directory else None,
            )

        def attach(task: str, connection: ChiefConnection) -> dict[int, int]:
            variables = [variable for _, variable in held[task]]
            absent = connection.attach(variables, options.staging, keep=options.keep_staging_memory)
            return {piece.index: place for place, (piece, _) in enumerate(held[task]) if place not in absent}

        self._places = self._of_each(attach)

    def holds(self, piece: Piece) -> bool:
        """Whether a parameter server stages this piece by itself."""
        return piece.index in self._places.get(piece.task, {})

    def stage(self) -> StagedByServers:
        """Have them stage what they hold."""
        answers = self._of_each(lambda _, connection: connection.stage())
        shapes = {
            self._held[task][place][0].index: shape
            for task, answer in answers.items()
            for place, shape in answer.shapes.items()
        }
        return StagedByServers(
            {task: "parked" if answer.parked else "memory" for task, answer in answers.items()},
            shapes,
            {task: answer.memory for task, answer in answers.items()},
        )

    def transfers(self, advanced: Callable[[], None]) -> dict[str, Transfer]:
        """A transfer for each task. It calls ``advanced`` whenever something has moved."""
        return {
            task: ConnectionTransfer(
                connection, self._places[task], advanced, way="shared" if task in self._seen_by else "stream"
            )
            for task, connection in self._connections.items()
        }

    def read(self, piece: Piece, row_start: int, row_stop: int) -> Array:
        """Rows of a piece that is held. Otherwise as :meth:`Source.read`."""
        place = self._places[piece.task][piece.index]
        dtype = self._held[piece.task][place][1].dtype
        row_bytes = math.prod(piece.shape[1:]) * (item_bytes(dtype) or 0)
        data = self._connections[piece.task].read(place, row_start * row_bytes, (row_stop - row_start) * row_bytes)
        rows = (row_stop - row_start, *piece.shape[1:]) if piece.shape else ()
        return data.view(numpy_dtype(dtype)).reshape(rows)

    def discard(self) -> None:
        """Have them free what they staged, and close the connections. A lost one has freed it already."""
        connections, self._connections, self._places = self._connections, {}, {}
        for connection in connections.values():
            with contextlib.suppress(AutodistSavedError):
                connection.discard()
            connection.close()

    def _of_each(self, ask: Callable[[str, ChiefConnection], Result]) -> dict[str, Result]:
        with ThreadPoolExecutor(max(1, len(self._connections)), thread_name_prefix="parameter-servers") as pool:
            answers = pool.map(ask, self._connections.keys(), self._connections.values())
            return dict(zip(self._connections, answers, strict=True))


def _tasks_that_see(
    directory: Path | None, connections: Mapping[str, ChiefConnection], transport: Transport
) -> set[str]:
    """The tasks that find a new file of the chief in the directory, and may write it; none where nobody needs it."""
    if not connections or directory is None or transport == "stream":
        return set()
    probe, contents = directory / f".autodist_saved-probe-{uuid.uuid4().hex}", uuid.uuid4().bytes
    try:
        with reporting_unwritable(probe):
            probe.write_bytes(contents)
        return {task for task, connection in connections.items() if connection.sees(probe, contents)}
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()


class ConnectionTransfer(Transfer):
    """Moves pieces of one parameter server, over a connection to it or by having it write itself."""

    def __init__(
        self, connection: ChiefConnection, places: Mapping[int, int], advanced: Callable[[], None], *, way: str
    ) -> None:
        """Asks nothing yet.

        Args:
            connection: to the parameter server.
            places: where each of its pieces, by index, is in what it has attached.
            advanced: called whenever something has moved.
            way: ``shared`` where the parameter server sees the files, else ``stream``.
        """
        self.way = way
        self._connection = connection
        self._places = places
        self._advanced = advanced

    def holds(self, piece: Piece) -> bool:
        return piece.index in self._places

    def move(self, spans: Sequence[Span], path: Path, *, sync: bool) -> Iterator[list[int]]:
        staged = [StagedSpan(self._places[piece.index], start, nbytes, at) for piece, start, nbytes, at in spans]
        shared = self.way == "shared"
        moves = self._connection.write(staged, path, sync=sync) if shared else self._connection.receive(staged, path)
        for checksums in moves:
            self._advanced()
            yield checksums
