"""The table of members through every order of events: no cut beside a worker that trains, none parked for ever."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import Phase, Verbosity, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from autodist_saved.cluster import Task
from autodist_saved.control.address_probe import ProbeAnswer
from autodist_saved.control.member import MemberState
from autodist_saved.control.member_table import MemberTable
from tests.control.simulated_job import LEASE_SECS, MakeTable, Process, SimulatedJob

ONE_WORKER = [Task("worker", 0)]
TWO_AND_A_PARAMETER_SERVER = [Task("worker", 0), Task("worker", 1), Task("ps", 0)]

# One of as many as there are.
picks = st.integers(0, 5)
# Of the messages under way at each end of a connection that breaks, so many arrive.
arrivals = st.tuples(st.integers(0, 2), st.integers(0, 2))
pauses = st.sampled_from(
    [0.1, 0.5, 1.0, LEASE_SECS / 4, LEASE_SECS / 2, LEASE_SECS - 0.1, LEASE_SECS, LEASE_SECS + 1]
)


class Interleavings(RuleBasedStateMachine):
    """Everything that may happen to a job, in any order. The job checks what it can see and the chief cannot.

    Hypothesis takes each rule as often as any other one. So what ruins every cut shares a rule, and what a cut is
    made of has one for each part. Most mistakes are about one worker; where there is no other one, most orders of
    events are about it.
    """

    make_table: MakeTable = MemberTable

    def __init__(self) -> None:
        super().__init__()
        self.job = SimulatedJob(ONE_WORKER, type(self).make_table)

    @initialize(
        tasks=st.sampled_from([ONE_WORKER, ONE_WORKER, TWO_AND_A_PARAMETER_SERVER]),
        moment=st.sampled_from(["nobody is there", "before a cut", "in a step", "asked to park", "parked"]),
    )
    def begin(self, tasks: list[Task], moment: str) -> None:
        self.job = SimulatedJob(tasks, type(self).make_table)
        if moment == "nobody is there":
            return
        for task in tasks:
            self.job.start(task)
        self.job.calm_down()
        if moment == "in a step":
            self.time_passes(0.0, [True])
        if moment in {"asked to park", "parked"}:
            self.job.park()
        if moment == "parked":
            self.a_cut_goes_on()

    def task(self, pick: int) -> Task:
        return self.job.tasks[pick % len(self.job.tasks)]

    def process(self, pick: int) -> Process | None:
        return self.job.process(self.task(pick))

    # ---- time and the network --------------------------------------------------------------------------------

    @rule(secs=pauses, busy=st.sampled_from([[False], [True], [True, False], [False, True]]))
    def time_passes(self, secs: float, busy: Sequence[bool]) -> None:
        """Those who are busy come to their next step, if nothing stops them."""
        self.job.pass_time(secs)
        for number, process in enumerate(map(self.job.process, self.job.tasks)):
            if busy[number % len(busy)] and process is not None and process.can_begin_step:
                self.job.begin_step(process)

    @precondition(lambda self: self.job.is_something_under_way)
    @rule()
    def everything_arrives(self) -> None:
        self.job.exchange(*self.job.tasks)

    @precondition(lambda self: self.job.is_something_under_way and len(self.job.tasks) > 1)
    @rule(pick=picks)
    def everything_arrives_of_one(self, pick: int) -> None:
        self.job.exchange(self.task(pick))

    @precondition(lambda self: self.job.waiting_for_chief)
    @rule(pick=picks)
    def a_message_arrives_at_the_chief(self, pick: int) -> None:
        waiting = self.job.waiting_for_chief
        self.job.deliver_to_chief(waiting[pick % len(waiting)])

    @precondition(lambda self: self.job.waiting_for_member)
    @rule(pick=picks)
    def a_message_arrives_at_a_member(self, pick: int) -> None:
        waiting = self.job.waiting_for_member
        self.job.deliver_to_member(waiting[pick % len(waiting)])

    @precondition(lambda self: self.job.connections)
    @rule(pick=picks, is_new=st.booleans())
    def a_member_reports(self, pick: int, is_new: bool) -> None:
        """By a heartbeat, or what has arrived before once more."""
        connection = self.job.connections[-1 - pick % len(self.job.connections)]
        if is_new and not connection.process.has_left:
            connection.process.reports.heartbeat()
        else:
            self.job.deliver_again(connection)

    @precondition(lambda self: self.job.unnoticed)
    @rule(pick=picks)
    def the_chief_notices_a_loss(self, pick: int) -> None:
        unnoticed = self.job.unnoticed
        self.job.chief_notices(unnoticed[pick % len(unnoticed)])

    @precondition(lambda self: self.job.disconnected)
    @rule(pick=picks, is_mended=st.booleans())
    def a_member_connects_again(self, pick: int, is_mended: bool) -> None:
        process = self.job.disconnected[pick % len(self.job.disconnected)]
        if is_mended:
            self.job.cut_off.discard(process.task)
        self.job.connect(process.task)

    @precondition(lambda self: self.job.unnoticed or self.job.disconnected)
    @rule()
    def everybody_notices_and_connects_again(self) -> None:
        self.job.notice_all()

    # ---- processes -------------------------------------------------------------------------------------------

    @precondition(lambda self: any(each.is_in_step for each in self.job.processes))
    @rule(pick=st.sampled_from([None, 0, 1]), raises=st.sampled_from([True, False, False]))
    def steps_end(self, pick: int | None, raises: bool) -> None:
        """Of all, or of one."""
        for process in map(self.job.process, self.job.tasks if pick is None else [self.task(pick)]):
            if process is not None and process.is_in_step:
                process.end_step(raises=raises)

    # ---- the chief -------------------------------------------------------------------------------------------

    @precondition(lambda self: self.job.chief.table.absent)
    @rule()
    def the_chief_probes(self) -> None:
        self.job.probe_absent()

    @precondition(lambda self: self.job.chief.table.absent or self.job.chief.probes)
    @rule(pick=picks, never_known=st.sampled_from([ProbeAnswer.REFUSED, ProbeAnswer.UNKNOWN_NAME]))
    def a_probe_goes_on(self, pick: int, never_known: ProbeAnswer) -> None:
        self.job.go_on_with_probe(self.task(pick), never_known)

    @precondition(lambda self: not self.job.chief.epoch)
    @rule(is_hindered=st.sampled_from([False, False, True]))
    def a_cut_begins(self, is_hindered: bool) -> None:
        """It holds as soon as all workers stand still, unless the chief itself is in a step."""
        self.job.park(is_hindered=is_hindered)

    @precondition(lambda self: self.job.chief.is_hindered)
    @rule()
    def the_step_of_the_chief_ends(self) -> None:
        self.job.chief.is_hindered = False
        self.job.acquire_if_possible()

    @precondition(lambda self: self.job.chief.epoch)
    @rule()
    def leases_are_renewed(self) -> None:
        self.job.renew()

    @precondition(lambda self: self.job.chief.epoch)
    @rule()
    def a_cut_goes_on(self) -> None:
        self.job.renew()
        self.job.exchange(*self.job.tasks)
        self.job.probe_absent()

    @precondition(lambda self: self.job.chief.epoch)
    @rule(ends=st.sampled_from([True, False, False, False]))
    def a_cut_ends(self, ends: bool) -> None:
        if ends:
            self.job.release()

    # ---- what goes wrong -------------------------------------------------------------------------------------

    @rule(pick=picks, arrive=arrivals, is_cut_off=st.booleans())
    def a_connection_breaks(self, pick: int, arrive: tuple[int, int], is_cut_off: bool) -> None:
        self.job.cut(self.task(pick), arrive)
        if not is_cut_off:
            self.job.cut_off.discard(self.task(pick))

    @rule(pick=picks, how=st.sampled_from(["dies", "is replaced", "leaves", "fails", "the chief dies"]))
    def a_process_ends(self, pick: int, how: str) -> None:
        process = self.process(pick)
        if how == "the chief dies":
            self.job.restart_chief()
        elif process is None or how == "is replaced":
            self.job.start(self.task(pick))
            self.job.connect(self.task(pick))
        elif how == "dies":
            process.die()
        elif process.can_leave and (how == "fails" or not process.may_write):
            process.leave(failed=how == "fails")

    # ---- what holds always -----------------------------------------------------------------------------------

    @invariant()
    def no_cut_overlooks_who_trains(self) -> None:
        self.job.check_cut()

    @invariant()
    def what_the_chief_believes_is_so(self) -> None:
        self.job.check_beliefs()

    @invariant()
    def nobody_is_parked_for_ever(self) -> None:
        self.job.check_nobody_is_parked_for_ever()

    def teardown(self) -> None:
        """Whatever has happened, the job can be cut when it has calmed down, and trains on afterwards."""
        self.job.cut_in_calm()


INTERLEAVINGS = settings(max_examples=500, stateful_step_count=30, deadline=None)


@pytest.mark.timeout(600)  # seconds of work, and minutes where the machine has other work
def test_no_interleaving_cuts_beside_a_worker_that_trains_or_parks_one_for_ever() -> None:
    run_state_machine_as_test(Interleavings, settings=INTERLEAVINGS)


# ---- and the test can fail -----------------------------------------------------------------------------------


class LostIsGone(MemberTable):
    """A lost worker is counted as gone at once."""

    def _stands_still(self, row: Any, parking: Any, now: float) -> bool:
        return row.member.state is MemberState.LOST or super()._stands_still(row, parking, now)


class LeasesLastForEver(MemberTable):
    """A worker that has said once that it is parked is believed for the whole cut."""

    def _stands_still(self, row: Any, parking: Any, now: float) -> bool:
        return row.member.is_parked(parking.epoch) or super()._stands_still(row, parking, now)


class TheReplacedDoNotDrain(MemberTable):
    """What a process had sent is forgotten when another one takes its place."""

    def _replace(self, row: Any, life: str, now: float) -> None:
        drained_at = row.drained_at
        super()._replace(row, life, now)
        row.drained_at = drained_at


class NobodyIsReleased(MemberTable):
    """The chief forgets the cut and tells nobody."""

    def release(self, epoch: int) -> None:
        self._parking = None


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mutant", [LostIsGone, LeasesLastForEver, TheReplacedDoNotDrain, NobodyIsReleased])
def test_each_of_these_mistakes_is_found(mutant: type[MemberTable]) -> None:
    class Mutated(Interleavings):
        make_table = mutant

    found_the_same_way = settings(
        INTERLEAVINGS,
        max_examples=5000,
        derandomize=True,
        database=None,
        phases=[Phase.generate],  # whatever it is, and not the shortest way to it
        report_multiple_bugs=False,
        verbosity=Verbosity.quiet,
    )
    with pytest.raises(AssertionError, match="may train|and nobody knows|does not go on|was released and is parked"):
        run_state_machine_as_test(Mutated, settings=found_the_same_way)
