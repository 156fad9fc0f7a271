"""The chief's table of its members: everything that it decides about other tasks, and nothing that it does.

Events go in: hellos, messages, streams that end, answers of probes, the beginning and the end of a cut. Messages come
out, in the members' streams. There is no gRPC in here, no thread, no lock, and no clock but the one that is given. So
a test can drive it through every order of events.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from autodist_saved.cluster import Task
from autodist_saved.control import control_pb2
from autodist_saved.control.address_probe import ProbeAnswer
from autodist_saved.control.gate import DRAIN_SECS, Standing
from autodist_saved.control.member import Member, MemberState
from autodist_saved.control.member_stream import MemberStream
from autodist_saved.control.parking import Hold, Parking
from autodist_saved.control.rate import Rate

NAME_CHARACTERS_MAX = 100  # of what strangers call themselves
# A parameter server that was only cut off is back sooner than this, with all that it holds.
PARAMETER_SERVER_GRACE_SECS = 2.0
_STANDINGS = {getattr(control_pb2.Progress, standing.name): standing for standing in Standing}


class JoinRefusedError(Exception):
    """A process cannot join. The message is the reason."""


class MemberTable:
    """Which tasks take part in the job, and which of them may train at this moment.

    Each method but the properties is one event. The caller sees to it that there is one at a time, and sends what is
    in the streams afterwards.

    Whether a worker may train is decided against it wherever the chief cannot know: silence is no sign that a process
    stands still or has ended. The table believes three things only:

    - A member that has said that it is parked stays so for its lease, counted from when the message that it answers
      was sent.
    - Nobody listens at the address of a process that has ended, and somebody does as long as it trains. So there are
      no two processes of one task at a time, and a process that joins proves that the one before it has ended.
    - Parameter servers have applied everything :data:`~autodist_saved.control.gate.DRAIN_SECS` after it was sent.
    """

    def __init__(self, tasks: Iterable[Task], job: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Expects everybody.

        Args:
            tasks: the members.
            job: digest of the cluster description, which each of them has to show.
            clock: tells the moment, in seconds; it never goes back.
        """
        self._job = job
        self._clock = clock
        self._rows = {str(task): _Row(Member(task), Rate(clock)) for task in tasks}
        self._parking: Parking | None = None
        self._over: control_pb2.ChiefMessage | None = None
        self._declared_lost: set[str] = set()
        self._lost_parameter_servers: list[str] = []

    # ---- who takes part --------------------------------------------------------------------------------------

    def join(self, hello: control_pb2.Hello) -> MemberStream:
        """A process says who it is.

        Returns:
            its stream, with its welcome in it. A stream that its task had before is closed.

        Raises:
            JoinRefusedError: it is no task of this job, or another process has taken its place.
        """
        row = self._row_of(hello)
        now = self._clock()
        if row.stream is not None:
            row.stream.close()
        row.stream = stream = MemberStream(hello.task)
        is_new = hello.life != row.member.life
        if is_new:
            self._replace(row, hello.life, now)
        # What probes have told was of a process that did not talk to the chief.
        row.forget_probes()
        row.member = replace(row.member, state=MemberState.JOINED, pid=hello.pid, heard_at=now, lost_at=0.0)
        if self._parking is not None and row.member.trains:
            # Before the welcome, after which it may train.
            stream.send(self._parking.message())
            if self._parking.holds:
                self._hold_newcomer(row, self._parking, now, is_new=is_new)
        stream.send(control_pb2.ChiefMessage(welcome=control_pb2.Welcome()))
        if self._over is not None:
            stream.close(self._over)
        return stream

    def progress(self, stream: MemberStream, progress: control_pb2.Progress) -> None:
        """A member says how it stands to a cut."""
        row = self._rows[stream.task]
        if row.stream is not stream or not stream.is_open:
            return
        now = self._clock()
        # A number that this version does not know is no promise to stand still.
        standing = _STANDINGS.get(progress.standing, Standing.TRAINING)
        row.member = replace(
            row.member,
            standing=standing,
            steps=progress.steps,
            steps_per_sec=row.rate.of(progress.steps),
            epoch=progress.epoch,
            heard_at=now,
        )
        parking = self._parking
        if parking is None or not row.member.trains:
            return
        hold = parking.hold_of(row.life)
        if progress.epoch == parking.epoch:
            until = parking.lease_ends(progress.renewal) if standing is Standing.PARKED else 0.0
            row.member = replace(row.member, parked_until=until)
            if hold is not None:
                # Renewals of a lease that is over are refused by the member, so a hold has no gaps.
                hold.until = max(hold.until, until)
                hold.is_broken |= standing is Standing.LEFT
        if hold is not None:
            hold.is_broken |= progress.steps != hold.steps

    def goodbye(self, stream: MemberStream, *, failed: bool) -> None:
        """A member has done its part, or ``failed``. It takes no step any more."""
        row = self._rows[stream.task]
        if row.stream is not stream or not stream.is_open:
            return
        now = self._clock()
        stream.close()
        state = MemberState.FAILED if failed else MemberState.FINISHED
        row.member = replace(row.member, state=state, lost_at=now)
        self._end_hold(row, now)
        if failed:
            # Parameter servers may still be applying a part of the step that has failed.
            row.drained_at = max(row.drained_at, now + DRAIN_SECS)

    def stream_ended(self, stream: MemberStream) -> bool:
        """A connection is gone. Returns whether its member is lost by that."""
        row = self._rows[stream.task]
        stream.close()
        if row.stream is not stream:
            return False
        row.stream = None
        if row.member.state is not MemberState.JOINED or self._over is not None:
            return False
        row.forget_probes()
        row.member = replace(row.member, state=MemberState.LOST, lost_at=self._clock())
        return True

    def probed(self, task: Task, answer: ProbeAnswer, asked_at: float) -> None:
        """What was found at the address of a task, and when it was asked. Later questions have later answers."""
        row = self._rows[str(task)]
        is_gone = answer is ProbeAnswer.REFUSED or (
            # A machine that has no name yet never had a process. One that has lost its name may only be hidden.
            answer is ProbeAnswer.UNKNOWN_NAME and row.member.state is MemberState.EXPECTED
        )
        if row.member.state not in {MemberState.EXPECTED, MemberState.LOST} or asked_at < row.member.lost_at:
            return  # a question of before the loss was about a process that was alive
        if not is_gone:
            row.forget_probes()
            return
        now = self._clock()
        row.asked_at = asked_at
        if row.gone_at is None:
            row.gone_at = now
            self._end_hold(row, now)

    def tick(self) -> None:
        """Time has passed: parameter servers that were given time to come back are lost. See :attr:`next_tick_at`."""
        now = self._clock()
        for row in self._rows.values():
            if self._awaits_return(row) and now >= row.member.lost_at + PARAMETER_SERVER_GRACE_SECS:
                self._declare_lost(row.member.task, row.member.life)

    def end_job(self, *, succeeded: bool, reason: str = "") -> None:
        """Tell every member, those that join later too, that the job is over. The first call counts."""
        if self._over is None:
            over = control_pb2.JobOver(succeeded=succeeded, reason=reason)
            self._over = control_pb2.ChiefMessage(job_over=over)
            for row in self._rows.values():
                if row.stream is not None:
                    row.stream.close(self._over)

    # ---- cuts ------------------------------------------------------------------------------------------------

    def park(self, epoch: int, lease_secs: float) -> None:
        """Ask every worker to park; see :meth:`~autodist_saved.control.member.Workers.park`."""
        self._parking = Parking(epoch, lease_secs, self._clock())
        for row in self._rows.values():
            row.member = replace(row.member, parked_until=0.0)
        self.renew_parking()

    def renew_parking(self) -> None:
        """Ask the workers to stay parked. Does nothing when no cut is on."""
        if self._parking is not None:
            self._send_workers(self._parking.renew(self._clock()))

    def lagging(self, epoch: int) -> tuple[Member, ...]:
        """The workers that may train at this moment; all of them when this cut is not on."""
        parking, now = self._parking, self._clock()
        is_on = parking is not None and parking.epoch == epoch
        return tuple(
            row.member
            for row in self._rows.values()
            if row.member.trains and not (is_on and parking is not None and self._stands_still(row, parking, now))
        )

    def acquire(self, epoch: int) -> tuple[Member, ...]:
        """Have the cut hold from now on, if nobody lags. Returns those who do."""
        lagging = self.lagging(epoch)
        if self._parking is not None and not lagging:
            self._parking.begin_to_hold(
                row.member
                for row in self._rows.values()
                if row.member.trains and row.member.state is MemberState.JOINED
            )
        return lagging

    def doubtful(self, epoch: int) -> tuple[str, ...]:
        """Names of the workers that may have trained since the cut holds."""
        if self._parking is None or self._parking.epoch != epoch:
            return ()
        return self._parking.doubtful(self._clock())

    def release(self, epoch: int) -> None:
        """Let the workers go on. Does nothing when this cut is not on."""
        if self._parking is not None and self._parking.epoch == epoch:
            self._parking = None
            for row in self._rows.values():
                row.member = replace(row.member, parked_until=0.0)
            self._send_workers(control_pb2.ChiefMessage(release=control_pb2.Release(epoch=epoch)))

    # ---- exports ---------------------------------------------------------------------------------------------

    def ask_for_copies(self, task: str, port: int, token: bytes) -> bool:
        """Have a parameter server dial in for an export. False where it is not in the job at this moment."""
        row = self._rows.get(task)
        if row is None or row.stream is None or row.member.state is not MemberState.JOINED:
            return False
        row.stream.send(control_pb2.ChiefMessage(give_copies=control_pb2.GiveCopies(port=port, token=token)))
        return True

    # ---- what is known ---------------------------------------------------------------------------------------

    @property
    def members(self) -> tuple[Member, ...]:
        """Every task but the chief, in the order of the cluster."""
        return tuple(row.member for row in self._rows.values())

    @property
    def absent(self) -> tuple[Task, ...]:
        """The workers that do not talk to the chief and have not said goodbye: those that are worth a probe."""
        return tuple(
            member.task
            for member in self.members
            if member.trains and member.state in {MemberState.EXPECTED, MemberState.LOST}
        )

    @property
    def is_over(self) -> bool:
        """Whether the job has ended."""
        return self._over is not None

    @property
    def has_streams(self) -> bool:
        """Whether a member is still connected."""
        return any(row.stream is not None for row in self._rows.values())

    @property
    def next_tick_at(self) -> float | None:
        """When :meth:`tick` is next to be called; None while nothing waits for it."""
        return min(
            (
                row.member.lost_at + PARAMETER_SERVER_GRACE_SECS
                for row in self._rows.values()
                if self._awaits_return(row)
            ),
            default=None,
        )

    def take_lost_parameter_servers(self) -> tuple[str, ...]:
        """The parameter servers that the members were told of as lost since the last call; the chief is one, too."""
        lost, self._lost_parameter_servers = tuple(self._lost_parameter_servers), []
        return lost

    # ---- one member ------------------------------------------------------------------------------------------

    def _row_of(self, hello: control_pb2.Hello) -> _Row:
        row = self._rows.get(hello.task)
        if row is None:
            raise JoinRefusedError(f"{hello.task[:NAME_CHARACTERS_MAX]!r} is no task of the chief's cluster")
        if hello.job != self._job:
            raise JoinRefusedError(f"{hello.task} has another description of the cluster than the chief")
        if hello.life in row.replaced:
            raise JoinRefusedError(f"another process has taken the place of this {hello.task}")
        return row

    def _replace(self, row: _Row, life: str, now: float) -> None:
        """Another process of the same task takes part from now on."""
        before = row.member
        if before.life:
            row.replaced.add(before.life)
            self._end_hold(row, now)
        # Of a task that has not joined yet, a process may have died a moment ago: this chief may have been restarted.
        if before.state in {MemberState.EXPECTED, MemberState.LOST} and row.gone_at is not None:
            row.drained_at = max(row.drained_at, row.gone_at + DRAIN_SECS)
        elif before.state in {MemberState.EXPECTED, MemberState.JOINED, MemberState.LOST}:
            row.drained_at = max(row.drained_at, now + DRAIN_SECS)
        died = bool(before.life) and before.state is not MemberState.FINISHED
        row.member = Member(before.task, deaths=before.deaths + died, life=life)
        row.rate = Rate(self._clock)
        if before.life:
            self._declare_lost(before.task, before.life)

    def _hold_newcomer(self, row: _Row, parking: Parking, now: float, *, is_new: bool) -> None:
        """A member has joined while the cut holds."""
        hold = parking.hold_of(row.life)
        if is_new:
            # All processes of this task had ended when the cut began to hold. So this one was started since, has not
            # trained yet, and hears of the cut before it may.
            until = now + parking.lease_secs
            row.member = replace(row.member, parked_until=until)
            parking.add(row.life, Hold(0, until))
        elif hold is None:
            # It was counted among the dead, and is not.
            parking.add(row.life, Hold(row.member.steps, 0.0, is_broken=True))
        else:
            hold.ended_at = float("inf")

    def _stands_still(self, row: _Row, parking: Parking, now: float) -> bool:
        """Whether no process of a worker can change a variable now."""
        if now < row.drained_at:
            return False
        match row.member.state:
            case MemberState.FINISHED | MemberState.FAILED:
                return True
            case MemberState.JOINED:
                # It may have said so long ago, and not have heard of a renewal since.
                return row.member.is_parked(parking.epoch) and now < row.member.parked_until
            case MemberState.EXPECTED | MemberState.LOST:
                # A new answer in each cut: resolvers and firewalls change their minds. The first one of its kind
                # tells how long it is over.
                return (
                    row.gone_at is not None and row.asked_at >= parking.began_at and now >= row.gone_at + DRAIN_SECS
                )

    def _end_hold(self, row: _Row, now: float) -> None:
        """The process of a member is known to have ended."""
        hold = None if self._parking is None else self._parking.hold_of(row.life)
        if hold is not None:
            hold.ended_at = min(hold.ended_at, now)

    def _awaits_return(self, row: _Row) -> bool:
        """Whether a parameter server may still turn out to have been cut off only."""
        member = row.member
        return (
            not member.trains
            and member.state is MemberState.LOST
            and member.life not in self._declared_lost
            and not self.is_over
        )

    def _declare_lost(self, task: Task, life: str) -> None:
        """Tell everybody that a parameter server's process, and so what it held, is gone; once for each life."""
        if task.type != "ps" or life in self._declared_lost or self.is_over:
            return
        self._declared_lost.add(life)
        self._lost_parameter_servers.append(str(task))
        lost = control_pb2.ChiefMessage(parameter_server_lost=control_pb2.ParameterServerLost(task=str(task)))
        for row in self._rows.values():
            if row.member.task != task and row.stream is not None:
                row.stream.send(lost)

    def _send_workers(self, message: control_pb2.ChiefMessage) -> None:
        for row in self._rows.values():
            if row.member.trains and row.stream is not None:
                row.stream.send(message)


@dataclass
class _Row:
    """One member, and what the table alone has to know of it.

    Attributes:
        member: what everybody may know.
        rate: of its steps.
        stream: its connection; None while it has none.
        replaced: lives that another process has taken the place of.
        drained_at: from this moment on nothing is under way of its processes that have failed or ended.
        gone_at: when the first of the last answers in a row came that tell that nobody listens at its address.
        asked_at: when the last of these was asked for.
    """

    member: Member
    rate: Rate
    stream: MemberStream | None = None
    replaced: set[str] = field(default_factory=set)
    drained_at: float = 0.0
    gone_at: float | None = None
    asked_at: float = 0.0

    @property
    def life(self) -> tuple[Task, str]:
        return self.member.task, self.member.life

    def forget_probes(self) -> None:
        """What is known of the address is out of date."""
        self.gone_at = None
