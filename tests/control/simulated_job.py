"""A job without sockets, threads and real time: processes come, train, are cut off and die, and a chief makes cuts.

The processes have real gates and answer the chief as real ones do. What is simulated lies between: the network, the
moments at which each end notices something, the kernels, the fences of the parameter servers, and the clock. The job
sees what its chief cannot, and checks the chief's table against it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from autodist_saved.cluster import Task
from autodist_saved.control import control_pb2
from autodist_saved.control.gate import DRAIN_SECS, Gate, Standing
from autodist_saved.control.member import MemberState
from autodist_saved.control.member_stream import MemberStream
from autodist_saved.control.member_table import PARAMETER_SERVER_GRACE_SECS, JoinRefusedError, MemberTable
from autodist_saved.control.progress_reports import ProgressReports

JOB = "digest"
LEASE_SECS = 5.0
TRAINING_LEASE_SECS = 10.0
CHIEF = "chief:0"

MakeTable = Callable[..., MemberTable]


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass(eq=False)
class Connection:
    """One connection of a process to a chief. What was sent before it broke may still arrive."""

    process: Process
    to_chief: deque[control_pb2.MemberMessage] = field(default_factory=deque)
    to_member: deque[control_pb2.ChiefMessage] = field(default_factory=deque)
    stream: MemberStream | None = None
    is_broken: bool = False
    is_noticed: bool = False  # by the chief: its stream has ended
    released: set[int] = field(default_factory=set)  # the cuts that it was there for when they ended
    last_progress: control_pb2.Progress | None = None

    @property
    def is_read(self) -> bool:
        """Whether somebody reads what arrives at the member: a process reads one connection at a time."""
        return self.process.is_alive and self.process.connection is self

    def break_off(self, arrive: tuple[int, int] = (2, 2)) -> None:
        """Nothing is sent over it any more. Of what is under way, so much arrives at the chief and at the member."""
        self.is_broken = True
        for queue, number in zip((self.to_chief, self.to_member), arrive, strict=True):
            while len(queue) > number:
                queue.pop()


class Process:
    """One process of a task, from its start."""

    def __init__(self, task: Task, life: str, clock: Clock) -> None:
        self.task = task
        self.life = life
        self.gate = Gate(clock)
        self.reports = ProgressReports(self.gate, self.send)
        self.server = Server(clock)
        self.connection: Connection | None = None
        self.is_alive = True
        self.is_welcome = False
        self.has_left = False
        self.is_refused = False
        self.is_in_step = False
        self.reaches: set[str] = set()  # the parameter servers' processes that its session was made with
        self.writes_until = 0.0  # until then parameter servers apply what a step has sent that did not end well
        self._clock = clock

    def send(self, message: control_pb2.MemberMessage) -> None:
        if self.connection is not None and not self.connection.is_broken:
            self.connection.to_chief.append(message)

    def connect(self) -> Connection:
        hello = control_pb2.Hello(
            job=JOB,
            process=control_pb2.Process(task=str(self.task), pid=1, life=self.life),
            remembered=self.server.alive,
        )
        self.connection = Connection(self, deque([control_pb2.MemberMessage(hello=hello)]))
        return self.connection

    def hear(self, message: control_pb2.ChiefMessage) -> None:
        match message.WhichOneof("kind"):
            case "park":
                self.reports.park(message.park)
            case "release":
                self.gate.release(message.release.epoch)
                self.server.release(message.release.epoch)
            case "welcome":
                self.is_welcome = True
                self.reports.welcome(message.welcome)
                for key in self.server.ended:
                    self.send(_ended(key))
            case "heard":
                self.reports.heard(message.heard)
            case "tell_connections":
                self.send(_connections(message, self.life))
            case "fence":
                self.send(control_pb2.MemberMessage(fenced=self.server.fence(message.fence)))
            case "remember":
                key = message.remember.task, message.remember.life
                self.server.remembered[key] = message.remember
                self.send(control_pb2.MemberMessage(remembered=control_pb2.Life(task=key[0], life=key[1])))
            case "forget":
                self.server.forget(message.forget)

    @property
    def wants_to_connect(self) -> bool:
        is_connected = self.connection is not None and not self.connection.is_broken
        return self.is_alive and not self.has_left and not self.is_refused and not is_connected

    @property
    def can_begin_step(self) -> bool:
        """Whether its program may come to a step, and the step would not have to wait."""
        return (
            self.task.type != "ps"
            and self.is_alive
            and self.is_welcome
            and not self.has_left
            and not self.is_in_step
            and self.gate.standing is Standing.TRAINING
            and self._clock.now < self.gate._lease_ends
        )

    @property
    def can_leave(self) -> bool:
        return self.connection is not None and not self.is_in_step and not self.has_left

    @property
    def may_write(self) -> bool:
        """Whether a variable may change at this moment because of it."""
        return self.is_in_step or self._clock.now < self.writes_until

    def begin_step(self) -> None:
        self.gate.step().__enter__()
        self.is_in_step = True

    def end_step(self, *, raises: bool) -> None:
        error = ArithmeticError() if raises else None
        self.gate.step().__exit__(type(error) if error else None, error, None)
        self.is_in_step = False
        if raises:
            self.writes_until = self._clock.now + DRAIN_SECS

    def leave(self, *, failed: bool) -> None:
        """Say goodbye. One that has not failed waits before until its last step has drained."""
        self.reports.heartbeat()
        self.send(control_pb2.MemberMessage(goodbye=control_pb2.Goodbye(failed=failed)))
        self.has_left = True

    def die(self) -> None:
        self.is_alive = False
        if self.is_in_step:
            self.is_in_step = False
            self.writes_until = self._clock.now + DRAIN_SECS
        if self.connection is not None:
            self.connection.break_off()


class Server:
    """What a parameter server's process does for the chief: it remembers processes, watches them, and has a fence."""

    def __init__(self, clock: Clock) -> None:
        self.remembered: dict[tuple[str, str], control_pb2.Process] = {}
        self.watched: set[tuple[str, str]] = set()  # seen alive, on the machine of this process
        self.ended: set[tuple[str, str]] = set()
        self.refuses = False
        self._clock = clock
        self._order: control_pb2.Fence | None = None
        self._until = 0.0
        self._over: tuple[int, int] | None = None

    @property
    def alive(self) -> list[control_pb2.Process]:
        return [process for key, process in self.remembered.items() if key not in self.ended]

    def forget(self, forget: control_pb2.Life) -> None:
        self.remembered.pop((forget.task, forget.life), None)
        self.ended.discard((forget.task, forget.life))

    def fence(self, order: control_pb2.Fence) -> control_pb2.Fenced:
        """Put it up, or keep it up, unless it was down meanwhile."""
        self._lapse()
        key = order.epoch, order.round
        answer = control_pb2.Fenced(epoch=order.epoch, round=order.round, renewal=order.renewal)
        if key == self._over or self.refuses:
            self._order, self._over = None, key
            answer.error = "no fence"
        else:
            self._order, self._until = order, self._clock.now + order.lease_secs
        return answer

    def release(self, epoch: int) -> None:
        if self._order is not None and self._order.epoch == epoch:
            self._over, self._order = (epoch, self._order.round), None

    def turns_away(self, life: str) -> bool:
        self._lapse()
        return self._order is not None and life not in self._order.allowed

    def _lapse(self) -> None:
        if self._order is not None and self._clock.now >= self._until:
            self._over, self._order = (self._order.epoch, self._order.round), None


def _connections(question: control_pb2.ChiefMessage, life: str) -> control_pb2.MemberMessage:
    """A process has one connection to each parameter server, with its life for an endpoint."""
    ends = [control_pb2.Connection(server=f"ps:{index}", endpoint=life) for index in range(2)]
    told = control_pb2.Connections(round=question.tell_connections.round, connections=ends)
    return control_pb2.MemberMessage(connections=told)


def _ended(key: tuple[str, str]) -> control_pb2.MemberMessage:
    return control_pb2.MemberMessage(ended=control_pb2.Life(task=key[0], life=key[1]))


class Chief:
    """A chief's process: its table, and the cut that it makes."""

    def __init__(self, tasks: Iterable[Task], life: str, clock: Clock, make_table: MakeTable) -> None:
        self.life = life
        process = control_pb2.Process(task=CHIEF, life=life)
        self.table = make_table(tasks, JOB, clock, chief=process, training_lease_secs=TRAINING_LEASE_SECS)
        self.server = Server(clock)
        self.epoch = 0  # of the cut that is on; 0 for none
        self.is_hindered = False  # by a step of its own
        self.holds = False
        self.relies_on: list[Process] = []  # the parameter servers of the cut that holds


class SimulatedJob:
    """All that happens, one thing at a time."""

    def __init__(
        self,
        tasks: Iterable[Task],
        make_table: MakeTable = MemberTable,
        *,
        watchers: frozenset[str] = frozenset({CHIEF}),
    ) -> None:
        """``watchers`` names the tasks on the machine of the trainers, whose kernel tells them of ends."""
        self.clock = Clock()
        self.tasks = tuple(tasks)
        self.cut_off: set[Task] = set()
        self.processes: list[Process] = []  # the dead ones too
        self.connections: list[Connection] = []  # the broken ones too
        self.trained_in_hold: set[str] = set()
        self._make_table = make_table
        self._watchers = watchers
        self._lives = 0
        self._epochs = 0
        self._dead_chiefs: set[tuple[str, str]] = set()
        self.chief = self._new_chief()

    def pass_time(self, secs: float) -> None:
        self.clock.now += secs
        self.chief.table.tick()
        self.send()

    # ---- processes -------------------------------------------------------------------------------------------

    def process(self, task: Task) -> Process | None:
        """The last one, if it lives."""
        return next((each for each in reversed(self.processes) if each.task == task and each.is_alive), None)

    @property
    def workers(self) -> list[Process]:
        return [each for each in self.processes if each.task.type != "ps"]

    @property
    def servers(self) -> list[Process]:
        """The parameter servers that hold variables of the job: others have lost theirs, or have none yet."""
        if self.chief.holds:
            return self.chief.relies_on
        lives = {member.life for member in self.chief.table.members if not member.trains}
        return [each for each in self.processes if each.task.type == "ps" and each.is_alive and each.life in lives]

    def may_write(self, process: Process) -> bool:
        """Whether a variable may change at this moment because of a process."""
        servers = self.servers
        # One that was started since does not know the graph of its session.
        reached = [each for each in servers if each.life in process.reaches]
        shut_out = bool(servers) and all(each.server.turns_away(process.life) for each in reached)
        return process.may_write and not shut_out

    def start(self, task: Task, *, beside: bool = False) -> None:
        """Another process. The one before it has ended, unless it is started ``beside`` that one."""
        if (old := self.process(task)) is not None:
            if beside:
                self._break(old, (0, 0))
            else:
                old.die()
        self._lives += 1
        self.processes.append(Process(task, f"life {self._lives}", self.clock))

    def connect(self, task: Task) -> None:
        """Its process connects, if it wants to and can."""
        process = self.process(task)
        if process is not None and process.wants_to_connect and task not in self.cut_off:
            self.connections.append(process.connect())

    def connect_process(self, process: Process) -> None:
        """One that another has taken the place of tries to come back, too."""
        if process.wants_to_connect and process.task not in self.cut_off:
            self.connections.append(process.connect())

    def begin_step(self, process: Process) -> None:
        if not self._makes_session(process):
            process.begin_step()
            self.note_training()

    def _makes_session(self, process: Process) -> bool:
        """Whether it has to make a session first, because it has none or that has failed."""
        servers = {each.life for each in self.processes if each.task.type == "ps" and each.is_alive}
        if process.reaches == servers:
            return False
        process.reaches = servers
        process.gate.require_word()
        process.reports.heartbeat()
        return True

    def note_training(self) -> None:
        """Of who may have changed a variable while the cut holds."""
        if self.chief.holds:
            self.trained_in_hold |= {str(each.task) for each in self.workers if self.may_write(each)}

    def kernels_tell(self) -> None:
        """Whoever watches a process that has ended hears of it."""
        dead = {(str(each.task), each.life) for each in self.processes if not each.is_alive} | self._dead_chiefs
        for key in [*self.chief.server.watched & dead]:
            self.chief.server.watched.discard(key)
            self.chief.table.ended(self.chief.table.own, _ended(key).ended)
        for process in self.processes:
            for key in [*process.server.watched & dead] if process.is_alive else ():
                process.server.watched.discard(key)
                if key in process.server.remembered:
                    process.server.ended.add(key)
                    process.send(_ended(key))
        self.send()

    def _watch(self, task: str, server: Server) -> None:
        """A process begins to watch those it has to remember: the ones that it sees alive."""
        if task in self._watchers:
            alive = {(str(each.task), each.life) for each in self.processes if each.is_alive}
            alive.add((CHIEF, self.chief.life))
            server.watched |= alive & server.remembered.keys() - server.ended

    # ---- the network -----------------------------------------------------------------------------------------

    def cut(self, task: Task, arrive: tuple[int, int]) -> None:
        """The network between a task and the chief is cut. Parameter servers still reach both."""
        self.cut_off.add(task)
        process = self.process(task)
        if process is not None:
            self._break(process, arrive)

    def _break(self, process: Process, arrive: tuple[int, int]) -> None:
        if process.connection is not None:
            process.connection.break_off(arrive)

    @property
    def waiting_for_chief(self) -> list[Connection]:
        return [each for each in self.connections if each.to_chief]

    @property
    def waiting_for_member(self) -> list[Connection]:
        return [each for each in self.connections if each.to_member and each.is_read]

    @property
    def is_something_under_way(self) -> bool:
        return bool(self.waiting_for_chief or self.waiting_for_member)

    @property
    def unnoticed(self) -> list[Connection]:
        """Broken connections that the chief has not given up yet."""
        return [
            each for each in self.connections if each.is_broken and each.stream is not None and not each.is_noticed
        ]

    @property
    def disconnected(self) -> list[Process]:
        """Processes that want to connect."""
        return [each for each in self.processes if each.wants_to_connect]

    def deliver_to_chief(self, connection: Connection) -> bool:
        """One message, if there is one. Also what was received of a connection that the chief has given up."""
        if not connection.to_chief:
            return False
        message = connection.to_chief.popleft()
        if message.WhichOneof("kind") == "hello":
            if connection.is_broken:
                return False  # nobody is there any more to be let in
            try:
                connection.stream = self.chief.table.join(message.hello)
            except JoinRefusedError:
                connection.process.is_refused = True
                connection.break_off((0, 0))
        elif connection.stream is not None:
            self._hear(connection.stream, message, connection)
        self.send()
        return True

    def _hear(
        self, stream: MemberStream, message: control_pb2.MemberMessage, connection: Connection | None = None
    ) -> None:
        match message.WhichOneof("kind"):
            case "progress":
                if connection is not None:
                    connection.last_progress = message.progress
                self.chief.table.progress(stream, message.progress)
            case "goodbye":
                self.chief.table.goodbye(stream, failed=message.goodbye.failed)
            case "connections":
                self.chief.table.connections(stream, message.connections)
            case "fenced":
                self.chief.table.fenced(stream, message.fenced)
            case "ended":
                self.chief.table.ended(stream, message.ended)
            case "remembered":
                self.chief.table.remembered(stream, message.remembered)

    def deliver_again(self, connection: Connection) -> None:
        """A report that has arrived before, once more."""
        if connection.stream is not None and connection.last_progress is not None:
            self.chief.table.progress(connection.stream, connection.last_progress)
            self.send()

    def deliver_to_member(self, connection: Connection) -> bool:
        """One message, if there is one and somebody who reads it."""
        if not connection.to_member or not connection.is_read:
            return False
        process = connection.process
        process.hear(connection.to_member.popleft())
        self._watch(str(process.task), process.server)
        return True

    def exchange(self, *tasks: Task) -> None:
        """All that is under way between the chief and these tasks arrives, and the answers to it."""
        connections = [each for each in self.connections if each.process.task in tasks]
        while any(self.deliver_to_chief(each) or self.deliver_to_member(each) for each in connections):
            pass

    def chief_notices(self, connection: Connection) -> None:
        """The chief's end of a connection finds that it is broken."""
        if connection.stream is not None:
            connection.is_noticed = True
            self.chief.table.stream_ended(connection.stream)
            self.send()

    def notice_all(self) -> None:
        """Both ends of broken connections find out, and who can connects again."""
        for connection in self.unnoticed:
            self.chief_notices(connection)
        for process in self.disconnected:
            self.connect_process(process)
        self.exchange(*self.tasks)

    def send(self) -> None:
        """What the table has put into its streams is on its way."""
        for connection in self.connections:
            if connection.stream is None:
                continue
            messages = connection.stream.take()
            if not connection.is_broken:
                connection.to_member.extend(messages)
            if not connection.stream.is_open:
                connection.is_broken = True
        for task in self.chief.table.take_lost_parameter_servers():
            self._check_lost(task)
        self._answer_own()
        self.acquire_if_possible()

    def _answer_own(self) -> None:
        """What the chief asks itself, it hears at once."""
        server = self.chief.server
        for message in self.chief.table.own.take():
            match message.WhichOneof("kind"):
                case "remember":
                    server.remembered[message.remember.task, message.remember.life] = message.remember
                    self._watch(CHIEF, server)
                case "forget":
                    server.forget(message.forget)
                case "tell_connections":
                    self._hear(self.chief.table.own, _connections(message, self.chief.life))

    # ---- the chief -------------------------------------------------------------------------------------------

    def restart_chief(self) -> None:
        """Its process is killed, and another one takes its place."""
        for connection in self.connections:
            connection.break_off((0, 2))
            connection.stream = None
        self._dead_chiefs.add((CHIEF, self.chief.life))
        self.chief = self._new_chief()
        self.trained_in_hold.clear()

    def _new_chief(self) -> Chief:
        self._lives += 1
        return Chief(self.tasks, f"chief {self._lives}", self.clock, self._make_table)

    def park(self, *, is_hindered: bool = False) -> None:
        self._epochs += 1
        self.chief.is_hindered = is_hindered
        self.chief.epoch = self._epochs
        self.chief.table.park(self._epochs, LEASE_SECS)
        self.send()

    def renew(self) -> None:
        self.chief.table.renew_parking()
        self.send()

    def acquire_if_possible(self) -> None:
        """As a chief does that waits for its workers: after each event it looks whether the cut holds."""
        chief = self.chief
        if not chief.epoch or chief.holds or chief.is_hindered:
            return
        servers = self.servers
        if not chief.table.acquire(chief.epoch):
            chief.holds, chief.relies_on = True, servers
            self.trained_in_hold.clear()
        elif any(stream.has_messages for stream in self._streams):
            self.send()  # it has asked for a fence

    @property
    def _streams(self) -> list[MemberStream]:
        open_streams = [each.stream for each in self.connections if each.stream is not None and not each.is_broken]
        return [self.chief.table.own, *open_streams]

    def release(self) -> tuple[str, ...]:
        """Returns who may have trained while the cut held, as the chief says."""
        doubtful = self.chief.table.doubtful(self.chief.epoch)
        self.chief.table.release(self.chief.epoch)
        for connection in self.connections:
            if connection.stream is not None:
                connection.released.add(self.chief.epoch)
        self.chief.epoch, self.chief.holds, self.chief.is_hindered = 0, False, False
        self.trained_in_hold.clear()
        self.send()
        return doubtful

    # ---- what holds always -----------------------------------------------------------------------------------

    def check_cut(self) -> None:
        """Where nobody lags, nobody can change a variable. Who has trained while the cut holds is doubtful."""
        if self.chief.epoch and not self.chief.table.lagging(self.chief.epoch):
            for process in self.workers:
                assert not self.may_write(process), f"a cut could hold, and {process.task} may train"
        self.note_training()
        if self.chief.holds:
            unknown = self.trained_in_hold - set(self.chief.table.doubtful(self.chief.epoch))
            assert not unknown, f"{unknown} trained while the cut held, and nobody knows"

    def check_beliefs(self) -> None:
        """Who stands still until when, in the eyes of the chief, does so."""
        for member in self.chief.table.members:
            if member.trains and member.parked_until > self.clock.now:
                process = next(each for each in self.processes if each.life == member.life)
                assert not process.may_write, f"{member.task} is believed to be parked and may write"
                assert not process.can_begin_step, f"{member.task} is believed to be parked and may begin a step"

    def check_leases(self) -> None:
        """Whose training lease is over, in the eyes of the chief, can begin no step."""
        for former in self.chief.table._ledger.unproven:
            process = next((each for each in self.processes if each.life == former.life[1]), None)
            if process is not None and former.lease_ends <= self.clock.now:
                assert not process.can_begin_step, f"{former.task} is believed to begin no step and may"

    def check_nobody_is_parked_for_ever(self) -> None:
        """A process goes on when its lease is over, and as soon as it has heard what the chief sent on release."""
        for process in self.workers:
            parking, connection = process.gate._parking, process.connection
            if not process.is_alive or parking is None or process.gate.standing is Standing.TRAINING:
                continue
            assert parking.lease_ends <= self.clock.now + LEASE_SECS, f"{process.task} is parked beyond its lease"
            if connection is not None and not connection.is_broken and not connection.to_member:
                assert parking.epoch not in connection.released, f"{process.task} was released and is parked"

    def _check_lost(self, task: str) -> None:
        """Another process has taken the place of a parameter server that is called lost, or it was away for long."""
        (member,) = [each for each in self.chief.table.members if str(each.task) == task]
        lives = [each.life for each in self.processes if each.task == member.task]
        is_replaced = member.state is MemberState.JOINED and lives.index(member.life) > 0
        is_away = self.clock.now >= member.lost_at + PARAMETER_SERVER_GRACE_SECS
        assert is_replaced or (member.state is MemberState.LOST and is_away), (
            f"{task} is called lost, and may come back"
        )

    # ---- calm ------------------------------------------------------------------------------------------------

    def calm_down(self) -> None:
        """The network is mended, steps end, programs that are done end, and all that live are connected."""
        self.cut_off.clear()
        if self.chief.epoch:
            self.release()
        for process in self.processes:
            process.server.refuses = False
            if process.is_in_step:
                process.end_step(raises=False)
            if process.has_left or process.is_refused:
                process.die()
        for task in self.tasks:
            if task.type == "ps" and self.process(task) is None:
                self.start(task)
        self.exchange(*self.tasks)
        while self.unnoticed or self.disconnected:
            self.notice_all()
        for process in self.processes:
            if process.is_refused:
                process.die()
            elif process.is_alive and process.is_welcome:
                self._makes_session(process)
        self.heartbeats()

    def heartbeats(self) -> None:
        """All that are connected are heard of, and hear of the chief."""
        for process in self.workers:
            if process.is_welcome and process.is_alive:
                process.reports.heartbeat()
        self.exchange(*self.tasks)

    def cut_in_calm(self) -> None:
        """In a calm job a cut succeeds, without doubts, and everybody goes on afterwards."""
        self.calm_down()
        self.park()
        for _ in range(round(TRAINING_LEASE_SECS + 5)):
            self.exchange(*self.tasks)
            self.kernels_tell()
            self.exchange(*self.tasks)
            self.pass_time(DRAIN_SECS)
            self.renew()
        self.exchange(*self.tasks)
        assert self.chief.holds, f"not parked: {self.chief.table.lagging(self.chief.epoch)}"
        assert self.release() == (), "nobody has trained"
        self.heartbeats()
        for process in self.workers:
            if process.is_alive and process.is_welcome:
                assert process.can_begin_step, f"{process.task} does not go on"
