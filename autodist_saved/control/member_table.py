"""The chief's table of its members: everything that it decides about other tasks, and nothing that it does.

Events go in: hellos, messages, streams that end, what kernels say, the beginning and the end of a cut. Messages come
out, in the members' streams. There is no gRPC in here, no thread, no lock, and no clock but the one that is given. So
a test can drive it through every order of events.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from autodist_saved.cluster import Task
from autodist_saved.control import control_pb2
from autodist_saved.control.fence_round import Life
from autodist_saved.control.fencing import Fencing
from autodist_saved.control.gate import DRAIN_SECS, Standing
from autodist_saved.control.member import Member, MemberState
from autodist_saved.control.member_row import MemberRow, send
from autodist_saved.control.member_stream import MemberStream
from autodist_saved.control.parking import Hold, Parking
from autodist_saved.control.process_ledger import ProcessLedger
from autodist_saved.control.rate import Rate

NAME_CHARACTERS_MAX = 100  # of what strangers call themselves
# A parameter server that was only cut off is back sooner than this, with all that it holds.
PARAMETER_SERVER_GRACE_SECS = 2.0
# Clocks of two machines do not run equally fast, and a step that began in time sends its requests a moment later.
LEASE_MARGIN_SECS = 1.0
_STANDINGS = {getattr(control_pb2.Progress, standing.name): standing for standing in Standing}


class JoinRefusedError(Exception):
    """A process cannot join. The message is the reason."""


class MemberTable:
    """Which tasks take part in the job, and which of them may train at this moment.

    Each method but the properties is one event. The caller sees to it that there is one at a time, and sends what is
    in the streams afterwards.

    Whether a worker may train is decided against it wherever the chief cannot know. Neither silence nor anything else
    that the network says is a sign that a process stands still or has ended. The table believes these things only:

    - A member that has said that it is parked stays so for its lease, counted from when the message that it answers
      was sent.
    - A process that has said goodbye takes no step any more, and neither does one whose end a kernel has told.
    - A worker trains only when a parameter server remembers it for the next chief, and on each session that it makes
      only when the chief has answered since. So a task of which no parameter server knows has never trained there.
    - A process begins no step when its training lease is over, counted from when the chief has last answered it. The
      one that it may be in changes nothing while every parameter server shuts it out.
    - Parameter servers have applied everything :data:`~autodist_saved.control.gate.DRAIN_SECS` after it was sent.

    Attributes:
        own: what the chief itself is asked and told, as if it were a member.
    """

    def __init__(
        self,
        tasks: Iterable[Task],
        job: str,
        clock: Callable[[], float] = time.monotonic,
        *,
        chief: control_pb2.Process | None = None,
        training_lease_secs: float = 10.0,
    ) -> None:
        """Expects everybody.

        Args:
            tasks: the members.
            job: digest of the cluster description, which each of them has to show.
            clock: tells the moment, in seconds; it never goes back.
            chief: the process of the chief.
            training_lease_secs: a worker begins no step later than so long after a message that was answered.
        """
        self._job = job
        self._clock = clock
        self._training_lease_secs = training_lease_secs
        self._rows = {str(task): MemberRow(Member(task), Rate(clock)) for task in tasks}
        self._remembered_at = clock()  # when a parameter server has told last whom it remembers
        self._parking: Parking | None = None
        self._over: control_pb2.ChiefMessage | None = None
        self._declared_lost: set[str] = set()
        self._lost_parameter_servers: list[str] = []
        chief = chief or control_pb2.Process(task="chief:0", life="chief")
        self.own = MemberStream(chief.task)
        # A chief before this one has answered nobody since this one began.
        self._first_leases_end = self._lease_end(clock())
        self._ledger = ProcessLedger(chief, self._rows, self.own, self._first_leases_end)
        self._fencing = Fencing(self._ledger, self.own)

    # ---- who takes part --------------------------------------------------------------------------------------

    def join(self, hello: control_pb2.Hello) -> MemberStream:
        """A process says who it is.

        Returns:
            its stream, with its welcome in it. A stream that its task had before is closed.

        Raises:
            JoinRefusedError: it is no task of this job, or another process has taken its place.
        """
        row = self._row_of(hello)
        process, now = hello.process, self._clock()
        if row.stream is not None:
            row.stream.close()
        row.stream = stream = MemberStream(process.task)
        is_new = process.life != row.member.life
        if is_new:
            self._replace(row, process, now)
        row.member = replace(row.member, state=MemberState.JOINED, pid=process.pid, heard_at=now, lost_at=0.0)
        if row.member.trains:
            self._ledger.joins(row, process)
        else:
            self._remembered_at = now
            self._ledger.exchange(stream, hello.remembered)
        if self._parking is not None and row.member.trains:
            # Before the welcome, after which it may train.
            stream.send(self._parking.message())
            if self._parking.holds:
                self._hold_newcomer(row, self._parking, now, is_new=is_new)
        welcome = control_pb2.Welcome(training_lease_secs=self._training_lease_secs)
        stream.send(control_pb2.ChiefMessage(welcome=welcome))
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
        if not row.member.trains:
            return
        row.unanswered = progress.sent_at
        self._answer(row)
        parking = self._parking
        if parking is None:
            return
        hold = parking.hold_of(row.life)
        if progress.epoch == parking.epoch:
            until = parking.lease_ends(progress.renewal) if standing is Standing.PARKED else 0.0
            row.member = replace(row.member, parked_until=until)
            if hold is not None:
                # Renewals of a lease that is over are refused by the member, so a hold has no gaps.
                # A promise to stand still does not keep a fence up.
                hold.until = hold.until if hold.is_shut_out else max(hold.until, until)
                hold.is_broken |= standing is Standing.LEFT and not hold.is_shut_out
        # A step of one that is shut out may end in its own eyes, and has changed nothing since.
        if hold is not None and not hold.is_shut_out:
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
        self._end_hold(row.life, now)
        self._ledger.is_over(row.life)
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
        if self._parking is not None and self._parking.round is not None:
            self._parking.round.lost(stream.task)
        if row.member.state is not MemberState.JOINED or self._over is not None:
            return False
        row.member = replace(row.member, state=MemberState.LOST, lost_at=self._clock())
        return True

    def remembered(self, stream: MemberStream, remembered: control_pb2.Life) -> None:
        """A parameter server remembers a process."""
        row = self._rows.get(remembered.task)
        is_server = stream is not self.own and self._may_tell_of_others(stream)
        if row is not None and is_server and row.member.life == remembered.life:
            row.is_remembered = True
            self._answer(row)

    def ended(self, stream: MemberStream, ended: control_pb2.Life) -> None:
        """A kernel has told one of its own processes, which watched it, that a process has ended."""
        row = self._rows.get(ended.task)
        if not self._may_tell_of_others(stream) or (row is None and ended.task != self.own.task):
            return
        life, now = (Task.parse(ended.task), ended.life), self._clock()
        is_last = row is not None and row.life == life and row.may_train
        was_former = self._ledger.is_over(life)
        self._end_hold(life, now)
        if row is not None and (is_last or was_former):
            # Parameter servers may still be applying what it had sent.
            row.drained_at = max(row.drained_at, now + DRAIN_SECS)
            has_ended = row.member.has_ended or is_last
            row.member = replace(row.member, has_ended=has_ended, deaths=row.member.deaths + was_former)

    def tick(self) -> None:
        """Time has passed: parameter servers that were given time to come back are lost. See :attr:`next_tick_at`."""
        now = self._clock()
        for row in self._rows.values():
            if self._awaits_return(row) and now >= row.member.lost_at + PARAMETER_SERVER_GRACE_SECS:
                self._declare_lost(row.member.task, row.member.life)

    def end_job(self, *, succeeded: bool, reason: str = "", terminated: bool = False) -> None:
        """Tell every member, those that join later too, that the job is over. The first call counts."""
        if self._over is None:
            over = control_pb2.JobOver(succeeded=succeeded, reason=reason, terminated=terminated)
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
            self._fencing.renew(self._parking, self._clock())

    def lagging(self, epoch: int) -> tuple[Member, ...]:
        """The workers that may train at this moment; all of them when this cut is not on.

        Processes whose place another one has taken, and those of a chief before this one, are among them.
        """
        parking, now = self._parking, self._clock()
        if parking is None or parking.epoch != epoch:
            return tuple(row.member for row in self._rows.values() if row.member.trains)
        lagging = [
            replace(row.member, doubt=self._fencing.doubt_of(row, parking, now))
            for row in self._rows.values()
            if row.member.trains and not self._stands_still(row, parking, now)
        ]
        lagging += [
            Member(
                each.task,
                MemberState.LOST,
                pid=each.process.pid,
                doubt=self._fencing.doubt_of_former(each, parking, now),
            )
            for each in self._ledger.former
            if not parking.shuts_out(each.life, now)
        ]
        return tuple(lagging)

    def acquire(self, epoch: int) -> tuple[Member, ...]:
        """Have the cut hold from now on, if nobody lags. Returns those who do.

        Called again and again: as soon as nobody but the lost may train, it has parameter servers shut them out.
        """
        parking, now = self._parking, self._clock()
        lagging = self.lagging(epoch)
        if parking is None or parking.epoch != epoch:
            return lagging
        if lagging:
            workers = [row for row in self._rows.values() if row.member.trains and row.talks]
            self._fencing.begin_if_possible(parking, workers, lambda row: self._stands_still(row, parking, now), now)
        else:
            parking.begin_to_hold(
                [
                    row.member
                    for row in self._rows.values()
                    if row.member.trains and row.member.state is MemberState.JOINED and not row.member.has_ended
                ],
                [each.life for each in self._ledger.unproven],
            )
        return lagging

    def doubtful(self, epoch: int) -> tuple[str, ...]:
        """Names of the workers that may have trained since the cut holds."""
        if self._parking is None or self._parking.epoch != epoch:
            return ()
        return self._parking.doubtful(self._clock())

    def shut_out(self, epoch: int) -> tuple[str, ...]:
        """Names of the tasks with a process that the parameter servers turn away while this cut holds."""
        if self._parking is None or self._parking.epoch != epoch:
            return ()
        return self._parking.shut_out

    def connections(self, stream: MemberStream, connections: control_pb2.Connections) -> None:
        """A task tells which connections lead from it to the parameter servers."""
        parking = self._parking
        if parking is None or parking.round is None or not self._counts(stream):
            return
        if parking.round.told(stream.task, connections):
            self._fencing.renew(parking, self._clock())

    def fenced(self, stream: MemberStream, fenced: control_pb2.Fenced) -> None:
        """A parameter server tells whether it shuts out who is not allowed."""
        parking = self._parking
        if self._counts(stream) and parking is not None and parking.round is not None:
            parking.round.fenced(stream.task, fenced)
            parking.fence_stands()

    def release(self, epoch: int) -> None:
        """Let the workers go on. Does nothing when this cut is not on."""
        if self._parking is not None and self._parking.epoch == epoch:
            self._parking = None
            for row in self._rows.values():
                row.member = replace(row.member, parked_until=0.0)
            # To the parameter servers too: they take their fences down.
            send(self._rows.values(), control_pb2.ChiefMessage(release=control_pb2.Release(epoch=epoch)))

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
    def leases_end_at(self) -> float | None:
        """When the last training lease of a lost process is over; None where none runs."""
        now = self._clock()
        return max((each.lease_ends for each in self._ledger.unproven if each.lease_ends > now), default=None)

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

    def _row_of(self, hello: control_pb2.Hello) -> MemberRow:
        task, life = hello.process.task, hello.process.life
        row = self._rows.get(task)
        if row is None:
            raise JoinRefusedError(f"{task[:NAME_CHARACTERS_MAX]!r} is no task of the chief's cluster")
        if hello.job != self._job:
            raise JoinRefusedError(f"{task} has another description of the cluster than the chief")
        if life in row.replaced:
            raise JoinRefusedError(f"another process has taken the place of this {task}")
        if life == row.member.life and row.member.has_ended:
            raise JoinRefusedError(f"the process of this {task} has ended")
        return row

    def _counts(self, stream: MemberStream) -> bool:
        """Whether a message of this stream counts: it is the last one that its task has."""
        return stream is self.own or (self._rows[stream.task].stream is stream and stream.is_open)

    def _may_tell_of_others(self, stream: MemberStream) -> bool:
        """Whether this is the chief itself, or a parameter server."""
        return stream is self.own or (self._counts(stream) and not self._rows[stream.task].member.trains)

    def _replace(self, row: MemberRow, process: control_pb2.Process, now: float) -> None:
        """Another process of the same task takes part from now on."""
        before = row.member
        if before.life:
            row.replaced.add(before.life)
        if row.may_train:
            # That another one is there is no sign that it has ended.
            self._ledger.is_replaced(row)
        elif before.state is MemberState.EXPECTED:
            # A process may have died a moment ago, before this chief was there to hear of it.
            row.drained_at = max(row.drained_at, now + DRAIN_SECS)
        died = before.has_ended or before.state is MemberState.FAILED
        row.member = Member(before.task, deaths=before.deaths + died, life=process.life)
        row.process, row.is_remembered, row.unanswered = process, False, None
        row.lease_ends = self._first_leases_end
        row.rate = Rate(self._clock)
        if before.life:
            self._declare_lost(before.task, before.life)
            if not before.trains and self._parking is not None and self._parking.round is not None:
                self._parking.round.fail(f"another process has taken the place of {before.task}")

    def _hold_newcomer(self, row: MemberRow, parking: Parking, now: float, *, is_new: bool) -> None:
        """A member has joined while the cut holds."""
        hold = parking.hold_of(row.life)
        if hold is not None:
            hold.ended_at = float("inf")
        elif is_new:
            # Nobody knew of it when the cut began to hold. So it has not trained yet, and hears of the cut before it
            # may.
            until = now + parking.lease_secs
            row.member = replace(row.member, parked_until=until)
            parking.add(row.life, Hold(0, until))
        else:
            # It was counted among the dead, and is not.
            parking.add(row.life, Hold(row.member.steps, 0.0, is_broken=True))

    def _stands_still(self, row: MemberRow, parking: Parking, now: float) -> bool:
        """Whether the last process of a worker cannot change a variable now."""
        if now < row.drained_at:
            return False
        if row.member.has_ended:
            return True
        match row.member.state:
            case MemberState.FINISHED | MemberState.FAILED:
                return True
            case MemberState.JOINED:
                # It may have said so long ago, and not have heard of a renewal since.
                return row.member.is_parked(parking.epoch) and now < row.member.parked_until
            case MemberState.EXPECTED:
                return not self._ledger.silent_servers and now >= self._remembered_at + DRAIN_SECS
            case MemberState.LOST:
                return parking.shuts_out(row.life, now)

    def _end_hold(self, life: Life, now: float) -> None:
        """A process is known to have ended."""
        hold = None if self._parking is None else self._parking.hold_of(life)
        if hold is not None:
            hold.ended_at = min(hold.ended_at, now)

    def _answer(self, row: MemberRow) -> None:
        """Let a worker train for another lease, once a parameter server would tell the next chief of it."""
        if row.is_remembered and row.unanswered is not None and row.stream is not None:
            row.stream.send(control_pb2.ChiefMessage(heard=control_pb2.Heard(sent_at=row.unanswered)))
            row.unanswered, row.lease_ends = None, self._lease_end(self._clock())

    def _lease_end(self, now: float) -> float:
        """When the training lease is over of a worker that is answered now.

        What it had sent, and counts from, it sent before this moment. So no clocks are compared.
        """
        return now + self._training_lease_secs + LEASE_MARGIN_SECS

    def _awaits_return(self, row: MemberRow) -> bool:
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
        send((row for row in self._rows.values() if row.member.trains), message)
