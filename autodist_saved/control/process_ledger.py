"""Which processes may train though nothing is heard of them, and what parameter servers remember of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from autodist_saved.cluster import Task
from autodist_saved.control import control_pb2
from autodist_saved.control.fence_round import Life
from autodist_saved.control.former_process import FormerProcess
from autodist_saved.control.member import MemberState
from autodist_saved.control.member_row import MemberRow, send
from autodist_saved.control.member_stream import MemberStream


class ProcessLedger:
    """Belongs to the table of members. It decides nothing about members that talk to the chief.

    Variables outlive a chief in their parameter servers, and so does a process that trains. So a chief has the
    parameter servers remember every process that it welcomes, and itself, and the next chief learns of them there.
    """

    def __init__(
        self, chief: control_pb2.Process, rows: Mapping[str, MemberRow], own: MemberStream, lease_ends: float
    ) -> None:
        """Knows nobody.

        Args:
            chief: the process of this chief.
            rows: of the table, by names of tasks.
            own: the chief's own stream; it watches processes, too.
            lease_ends: when the training leases are over that a chief before this one has given.
        """
        self._chief = chief
        self._rows = rows
        self._own = own
        self._lease_ends = lease_ends
        self._former: dict[Life, FormerProcess] = {}

    @property
    def former(self) -> Iterator[FormerProcess]:
        """Those whose place another one has taken, or may take."""
        yield from self._former.values()

    @property
    def unproven(self) -> Iterator[FormerProcess]:
        """All that may train, and do not talk to the chief."""
        yield from self._former.values()
        for row in self._rows.values():
            if row.may_train and row.member.state is MemberState.LOST:
                yield row.former

    @property
    def servers(self) -> list[MemberRow]:
        """The parameter servers."""
        return [row for row in self._rows.values() if not row.member.trains]

    @property
    def silent_servers(self) -> list[str]:
        """The parameter servers that have not told yet whom they remember."""
        return [str(row.member.task) for row in self.servers if not row.member.life]

    def joins(self, row: MemberRow, process: control_pb2.Process) -> None:
        """A worker's process joins, or joins again, and may train from now on."""
        row.over.discard(process.life)
        was_known = self._former.pop((row.member.task, process.life), None) is not None
        row.is_remembered |= was_known or not self.servers
        self._remember(process)

    def is_replaced(self, row: MemberRow) -> None:
        """Another process takes the place of a worker's. That it is there is no sign that this one has ended."""
        self._former[row.life] = row.former
        process = control_pb2.Process()
        process.CopyFrom(row.process)
        process.is_replaced = True
        self._remember(process)

    def is_over(self, life: Life) -> bool:
        """A process trains no more, for certain. Returns whether it was among the former ones."""
        row = self._rows.get(str(life[0]))
        if row is not None and (row.life == life or life in self._former):
            row.over.add(life[1])
        self._tell(control_pb2.ChiefMessage(forget=control_pb2.Life(task=str(life[0]), life=life[1])))
        return self._former.pop(life, None) is not None

    def exchange(self, server: MemberStream, remembered: Iterable[control_pb2.Process]) -> None:
        """A parameter server has joined: learn whom it remembers, and tell it whom it has to."""
        for process in remembered:
            self._learn(process)
        current = [row.process for row in self._rows.values() if row.may_train]
        for process in [self._chief, *current, *(each.process for each in self._former.values())]:
            server.send(control_pb2.ChiefMessage(remember=process))

    def _learn(self, process: control_pb2.Process) -> None:
        row = self._rows.get(process.task)
        if row is None and (process.task != self._chief.task or process.life == self._chief.life):
            return
        life = Task.parse(process.task), process.life
        if row is not None:
            if process.is_replaced:
                row.replaced.add(process.life)
            if process.life in row.over:
                self.is_over(life)  # of which it has not heard
                return
            if process.life == row.member.life:
                row.is_remembered = True  # the next report of it is answered
                return
        self._former.setdefault(life, FormerProcess(life[0], process, self._lease_ends))

    def _remember(self, process: control_pb2.Process) -> None:
        self._tell(control_pb2.ChiefMessage(remember=process))

    def _tell(self, message: control_pb2.ChiefMessage) -> None:
        """The parameter servers, and the chief's own process."""
        self._own.send(message)
        send(self.servers, message)
