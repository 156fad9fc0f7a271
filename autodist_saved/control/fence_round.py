"""One attempt to have all parameter servers shut out every process but those that stand still."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from autodist_saved.cluster import Task
from autodist_saved.control import control_pb2

# One process of a task.
Life = tuple[Task, str]


@dataclass
class FenceRound:
    """From the question for connections to the answers of the parameter servers. Moments are monotonic, in seconds.

    Attributes:
        epoch: number of the cut.
        number: of the round, another one for each.
        began_at: when it was begun.
        lease_secs: a parameter server that hears nothing more for so long takes its fence down.
        allowed: the processes that keep their connections, because they stand still by their own word.
        servers: names of the parameter servers.
    """

    epoch: int
    number: int
    began_at: float
    lease_secs: float
    allowed: frozenset[Life]
    servers: tuple[str, ...]
    _asked: frozenset[str] = frozenset()
    _awaited: set[str] = field(default_factory=set)
    _endpoints: dict[str, set[str]] = field(default_factory=dict)
    _sent_at: list[float] = field(default_factory=list)
    _until: dict[str, float] = field(default_factory=dict)
    _problem: str = ""

    def ask(self, tasks: Iterable[str]) -> control_pb2.ChiefMessage:
        """Ask these tasks which connections are theirs."""
        self._asked = frozenset(tasks)
        self._awaited = set(self._asked)
        return self.question

    @property
    def question(self) -> control_pb2.ChiefMessage:
        """What they are asked."""
        return control_pb2.ChiefMessage(tell_connections=control_pb2.TellConnections(round=self.number))

    def told(self, task: str, connections: control_pb2.Connections) -> bool:
        """One of them tells, perhaps again. Returns whether that was the last one: the fence can go up."""
        if task not in self._asked or connections.round != self.number:
            return False
        was_awaited = task in self._awaited
        self._awaited.discard(task)
        if connections.error and was_awaited:
            self.fail(f"{task} cannot tell which connections are its own: {connections.error}")
        for each in connections.connections:
            self._endpoints.setdefault(each.server, set()).add(each.endpoint)
        return was_awaited and not self._awaited and not self.has_failed

    def lost(self, task: str) -> None:
        """A task's connection to the chief is gone. What it has told counts all the same."""
        if task in self._awaited:
            self.fail(f"{task} was lost before it told which connections are its own")

    def renew(self, now: float) -> Mapping[str, control_pb2.ChiefMessage]:
        """Another message to each parameter server to put its fence up, or keep it up. Empty before all have told."""
        if self._awaited or self.has_failed:
            return {}
        self._sent_at.append(now)
        return {server: control_pb2.ChiefMessage(fence=self._order(server)) for server in self.servers}

    def fenced(self, server: str, fenced: control_pb2.Fenced) -> None:
        """A parameter server answers."""
        if (fenced.epoch, fenced.round) != (self.epoch, self.number) or server not in self.servers:
            return
        if fenced.error:
            # Also one that stood before: it has fallen.
            self._until.pop(server, None)
            self.fail(f"{server} cannot shut it out: {fenced.error}")
        elif fenced.renewal < len(self._sent_at):
            # Its own lease begins when it hears the message, so it ends later than this. No clocks are compared.
            until = self._sent_at[fenced.renewal] + self.lease_secs
            self._until[server] = max(until, self._until.get(server, 0.0))

    def fail(self, problem: str) -> None:
        """The round comes to nothing. The first reason counts."""
        self._problem = self._problem or problem

    @property
    def has_failed(self) -> bool:
        """Whether it needs another round."""
        return bool(self._problem)

    @property
    def until(self) -> float:
        """Until when all but the allowed are surely shut out; 0 as long as one parameter server has not said so."""
        if self.has_failed:
            return 0.0
        return min((self._until.get(server, 0.0) for server in self.servers), default=0.0)

    @property
    def doubt(self) -> str:
        """Why nobody is shut out yet, for people."""
        if self._problem or self.until:
            return self._problem
        if self._awaited:
            return f"{', '.join(sorted(self._awaited))} did not tell which connections are its own"
        silent = [server for server in self.servers if server not in self._until]
        return f"{', '.join(silent)} did not answer that it shuts it out" if silent else ""

    def _order(self, server: str) -> control_pb2.Fence:
        return control_pb2.Fence(
            epoch=self.epoch,
            round=self.number,
            renewal=len(self._sent_at) - 1,
            lease_secs=self.lease_secs,
            allowed=sorted(self._endpoints.get(server, ())),
        )
