"""Chief and parameter servers, each with its own code, in threads of this process and over real connections."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from autodist_saved.transport.chief_connection import ChiefConnection
from autodist_saved.transport.rendezvous import Rendezvous
from autodist_saved.transport.server_connection import serve_copies
from autodist_saved.transport.server_variable import ServerVariable
from autodist_saved.transport.staged_copies import OpenVariables, StageResult
from autodist_saved.transport.staging_memory import StagingMemory
from tests.support.patience import PATIENCE_SECS

Array = np.ndarray[Any, Any]
# What a task does when it is told an address and a token.
Dial = Callable[[tuple[str, int], bytes], None]


class ArrayReader:
    """Reads arrays of this process, whose numbers are the variables' names."""

    def __init__(self, arrays: Sequence[Array], variables: Sequence[ServerVariable]) -> None:
        self._arrays = [arrays[int(variable.name)] if variable.name else None for variable in variables]
        self.absent = frozenset(number for number, array in enumerate(self._arrays) if array is None)

    def read(self) -> dict[int, Array]:
        return {number: array for number, array in enumerate(self._arrays) if array is not None}

    def close(self) -> None:
        self._arrays.clear()


def holding(*arrays: Array, memory: StagingMemory | None = None) -> Dial:
    return opening(partial(ArrayReader, arrays), memory)


def opening(open_variables: OpenVariables, memory: StagingMemory | None = None) -> Dial:
    return partial(serve_copies, open_variables=open_variables, memory=memory or StagingMemory())


def variable_of(name: object, array: Array) -> ServerVariable:
    return ServerVariable(str(name), "", array.dtype.name, reference=False, shape=array.shape)


def stage(connection: ChiefConnection, *arrays: Array, staging: str = "memory") -> StageResult:
    connection.attach([variable_of(number, array) for number, array in enumerate(arrays)], staging, keep=False)
    return connection.stage()


@contextmanager
def met(tasks: Mapping[str, Dial], host: str = "127.0.0.1") -> Iterator[dict[str, ChiefConnection]]:
    """Connections to tasks, each of which is a thread. They end when the connections are closed."""
    threads: list[threading.Thread] = []

    def invite(task: str, port: int, token: bytes) -> bool:
        threads.append(threading.Thread(target=tasks[task], args=((host, port), token), name=task))
        threads[-1].start()
        return True

    connections = Rendezvous(host, invite).connect(tasks)
    try:
        yield connections
    finally:
        for connection in connections.values():
            connection.close()
        for thread in threads:
            thread.join(PATIENCE_SECS)
        assert not [thread.name for thread in threads if thread.is_alive()]


@contextmanager
def staged(*arrays: Array, staging: str = "memory") -> Iterator[ChiefConnection]:
    with met({"ps:0": holding(*arrays)}) as connections:
        stage(connections["ps:0"], *arrays, staging=staging)
        yield connections["ps:0"]


def random_bytes(nbytes: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 256, nbytes, np.uint8)


def written(path: Path, nbytes: int) -> Path:
    path.write_bytes(b"\xee" * nbytes)
    return path
