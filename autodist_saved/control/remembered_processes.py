"""The processes that train, as a parameter server and the chief keep them: for the next chief, and to watch them."""

from __future__ import annotations

import threading
from collections.abc import Callable

from autodist_saved.control import control_pb2
from autodist_saved.control.process_identity import ProcessIdentity
from autodist_saved.control.process_watch import ProcessWatch


class RememberedProcesses:
    """What a chief has told to remember, until it tells to forget it. Any thread may use it.

    Variables outlive a chief in their parameter servers, and so does a worker that trains. So the parameter servers
    tell the next chief who may still change them.
    """

    def __init__(self, send: Callable[[control_pb2.MemberMessage], None]) -> None:
        """Remembers nobody. ``send`` takes a message when a process of this machine has ended; it must not block."""
        self._send = send
        self._lock = threading.Lock()
        self._watch = ProcessWatch()
        self._processes: dict[tuple[str, str], control_pb2.Process] = {}
        self._ended: set[tuple[str, str]] = set()

    def remember(self, process: control_pb2.Process) -> None:
        """A process may train from now on, or another one has taken its place. Answers that it is remembered."""
        key = process.task, process.life
        with self._lock:
            is_new = key not in self._processes
            self._processes[key] = process
        self._send(control_pb2.MemberMessage(remembered=_life(key)))
        if is_new:
            self._watch.add(
                ProcessIdentity(process.pid, process.started, process.machine), lambda: self._note_end(key)
            )

    def forget(self, forget: control_pb2.Life) -> None:
        """A process will train no more, as the chief knows."""
        key = forget.task, forget.life
        with self._lock:
            self._processes.pop(key, None)
            self._ended.discard(key)

    @property
    def alive(self) -> list[control_pb2.Process]:
        """Those that may still train."""
        with self._lock:
            return [process for key, process in self._processes.items() if key not in self._ended]

    def tell_ends(self) -> None:
        """Send again which processes have ended: a message may have been lost with its stream."""
        with self._lock:
            ended = [*self._ended]
        for key in ended:
            self._tell(key)

    def _note_end(self, key: tuple[str, str]) -> None:
        with self._lock:
            if key not in self._processes:
                return
            self._ended.add(key)
        self._tell(key)

    def _tell(self, key: tuple[str, str]) -> None:
        self._send(control_pb2.MemberMessage(ended=_life(key)))


def _life(key: tuple[str, str]) -> control_pb2.Life:
    return control_pb2.Life(task=key[0], life=key[1])
