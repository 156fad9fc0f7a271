"""Orders of events at which the table of members could go wrong, one by one."""

from __future__ import annotations

import pytest

from autodist_saved.cluster import Task
from autodist_saved.control import control_pb2
from autodist_saved.control.address_probe import ProbeAnswer
from autodist_saved.control.gate import DRAIN_SECS, Standing
from autodist_saved.control.member import Member, MemberState
from autodist_saved.control.member_table import PARAMETER_SERVER_GRACE_SECS, JoinRefusedError
from tests.control.simulated_job import JOB, LEASE_SECS, Process, SimulatedJob

WORKER, OTHER, SERVER = Task("worker", 0), Task("worker", 1), Task("ps", 0)
MOMENT = 0.01


class OneWorker(SimulatedJob):
    """A job with one worker, which trains."""

    def __init__(self) -> None:
        super().__init__([WORKER])
        self.start(WORKER)
        self.calm_down()
        self.clock.now += DRAIN_SECS  # a process before this one, of which the chief has not heard, is past

    @property
    def worker(self) -> Process:
        process = self.process(WORKER)
        assert process is not None
        return process

    @property
    def member(self) -> Member:
        return self.chief.table.members[0]

    @property
    def lags(self) -> bool:
        return bool(self.chief.table.lagging(self.chief.epoch))

    def cut_holds(self) -> None:
        self.park()
        self.exchange(WORKER)
        assert self.chief.holds

    def lose(self) -> None:
        """The connection breaks, and the chief notices. The process does not, and lives."""
        assert self.worker.connection is not None
        self.worker.connection.break_off((0, 0))
        self.chief_notices(self.worker.connection)

    def train(self) -> None:
        """A whole step, if nothing stops it."""
        assert self.worker.can_begin_step
        self.begin_step(self.worker)
        self.worker.end_step(raises=False)

    @property
    def doubtful(self) -> tuple[str, ...]:
        return self.chief.table.doubtful(self.chief.epoch)


@pytest.fixture
def job() -> OneWorker:
    return OneWorker()


def test_a_promise_to_stand_still_lasts_for_a_lease_from_when_it_was_asked_for(job: OneWorker) -> None:
    job.park(is_hindered=True)
    job.pass_time(1.0)  # the message takes that long
    job.exchange(WORKER)
    assert not job.lags
    job.pass_time(LEASE_SECS - 1.0 - MOMENT)
    assert not job.lags
    job.pass_time(2 * MOMENT)
    assert job.lags, "it may not have heard of a renewal"
    job.renew()
    job.exchange(WORKER)
    assert not job.lags, "it has"


def test_a_renewal_that_comes_too_late_is_no_promise(job: OneWorker) -> None:
    job.park(is_hindered=True)
    job.exchange(WORKER)
    job.pass_time(LEASE_SECS)
    job.renew()
    job.exchange(WORKER)
    assert job.member.standing is Standing.LEFT
    assert job.lags


def test_a_standing_that_nobody_knows_is_no_promise(job: OneWorker) -> None:
    job.park(is_hindered=True)
    assert job.worker.connection is not None
    assert job.worker.connection.stream is not None
    progress = control_pb2.Progress(standing=7, epoch=job.chief.epoch)  # type: ignore[arg-type]
    job.chief.table.progress(job.worker.connection.stream, progress)
    assert job.lags


def test_a_member_that_joins_in_a_cut_hears_of_it_before_its_welcome(job: OneWorker) -> None:
    job.cut_holds()
    job.start(WORKER)
    job.connect(WORKER)
    job.deliver_to_chief(job.connections[-1])
    kinds = [message.WhichOneof("kind") for message in job.connections[-1].to_member]
    assert kinds == ["park", "welcome"]
    job.exchange(WORKER)
    assert job.doubtful == ()


def test_a_process_does_not_inherit_what_the_one_before_it_has_said(job: OneWorker) -> None:
    job.park(is_hindered=True)
    job.exchange(WORKER)
    assert job.member.is_parked(job.chief.epoch)
    job.start(WORKER)
    job.connect(WORKER)
    job.deliver_to_chief(job.connections[-1])
    assert (job.member.standing, job.member.steps, job.member.parked_until) == (Standing.TRAINING, 0, 0.0)
    job.pass_time(DRAIN_SECS)
    assert job.lags


def test_what_an_old_connection_still_delivers_changes_nothing(job: OneWorker) -> None:
    job.park(is_hindered=True)
    first = job.connections[-1]
    job.exchange(WORKER)
    job.start(WORKER)
    job.connect(WORKER)
    job.deliver_to_chief(job.connections[-1])
    job.pass_time(DRAIN_SECS)
    job.deliver_again(first)
    assert job.lags


def test_a_worker_that_is_only_cut_off_counts(job: OneWorker) -> None:
    job.lose()
    job.park()
    job.pass_time(60.0)
    assert job.lags
    job.probe_absent()
    assert job.lags, "somebody listens at its address"
    job.cut_off.add(WORKER)
    job.probe_absent()
    assert job.lags, "nothing is known"


def test_a_worker_that_has_died_drains_from_when_that_is_known(job: OneWorker) -> None:
    job.lose()
    job.pass_time(60.0)
    job.begin_step(job.worker)
    job.worker.die()
    job.park()
    job.probe_absent()
    assert job.lags, "it was lost a minute ago, and died in a step just now"
    job.pass_time(DRAIN_SECS - MOMENT)
    assert job.lags
    job.pass_time(2 * MOMENT)
    assert job.chief.holds


def test_a_worker_that_a_restarted_chief_has_never_seen_drains_too(job: OneWorker) -> None:
    job.begin_step(job.worker)
    job.restart_chief()
    job.worker.die()
    job.park()
    job.probe_absent()
    assert job.lags
    job.pass_time(DRAIN_SECS)
    assert job.chief.holds


def test_each_cut_asks_anew_but_what_has_drained_stays_so(job: OneWorker) -> None:
    job.worker.die()
    job.chief_notices(job.connections[-1])
    job.probe_absent()
    job.pass_time(60.0)
    job.park()
    assert job.lags, "the answer is of before"
    job.probe_absent()
    assert job.chief.holds, "at once"


def test_an_answer_to_a_question_of_before_the_loss_counts_for_nothing(job: OneWorker) -> None:
    job.worker.die()
    job.chief_notices(job.connections[-1])
    job.park()
    job.go_on_with_probe(WORKER)
    job.go_on_with_probe(WORKER)  # refused, and the answer is under way
    job.start(WORKER)
    job.connect(WORKER)
    job.exchange(WORKER)
    job.pass_time(LEASE_SECS)  # it trains
    job.lose()
    job.go_on_with_probe(WORKER)
    job.pass_time(DRAIN_SECS)
    assert job.lags


def test_the_last_answer_counts(job: OneWorker) -> None:
    job.worker.die()
    job.chief_notices(job.connections[-1])
    job.park(is_hindered=True)
    job.probe_absent()
    job.pass_time(DRAIN_SECS)
    assert not job.lags
    job.start(WORKER)
    job.probe_absent()
    assert job.lags, "somebody listens there"


def test_a_name_that_nobody_knows_tells_of_a_machine_that_never_was() -> None:
    job = SimulatedJob([WORKER])
    job.park()
    for _ in range(3):
        job.go_on_with_probe(WORKER, ProbeAnswer.UNKNOWN_NAME)
    job.pass_time(DRAIN_SECS)
    assert job.chief.holds
    job.release()
    job.start(WORKER)
    job.calm_down()
    job.connections[-1].break_off()
    job.chief_notices(job.connections[-1])
    job.park()
    job.chief.table.probed(WORKER, ProbeAnswer.UNKNOWN_NAME, job.clock.now)
    job.pass_time(DRAIN_SECS)
    assert job.chief.table.lagging(job.chief.epoch), "it has joined: a name can be lost, and the process is there"


def test_a_process_whose_place_is_taken_drains(job: OneWorker) -> None:
    job.begin_step(job.worker)
    job.start(WORKER)
    job.connect(WORKER)
    job.park()
    job.exchange(WORKER)
    assert job.lags
    job.pass_time(DRAIN_SECS - MOMENT)
    assert job.lags
    job.pass_time(2 * MOMENT)
    assert job.chief.holds
    assert job.member.deaths == 1


@pytest.mark.parametrize("then", ["connects again", "leaves"])
def test_nothing_that_the_next_process_does_shortens_that(job: OneWorker, then: str) -> None:
    job.begin_step(job.worker)
    job.start(WORKER)
    job.connect(WORKER)
    job.exchange(WORKER)
    if then == "leaves":
        job.worker.leave(failed=False)
    else:
        job.lose()
        job.connect(WORKER)
    job.park()
    job.exchange(WORKER)
    assert job.lags
    job.pass_time(DRAIN_SECS)
    assert job.chief.holds


def test_a_worker_that_has_failed_drains_and_one_that_is_done_does_not_have_to(job: OneWorker) -> None:
    job.begin_step(job.worker)
    job.worker.end_step(raises=True)
    job.worker.leave(failed=True)
    job.exchange(WORKER)
    assert job.member.state is MemberState.FAILED
    job.park()
    assert job.lags
    job.pass_time(DRAIN_SECS)
    assert job.chief.holds
    done = OneWorker()
    done.worker.leave(failed=False)
    done.cut_holds()


# ---- while the cut holds -------------------------------------------------------------------------------------


def test_a_worker_whose_lease_is_over_is_under_doubt(job: OneWorker) -> None:
    job.cut_holds()
    job.pass_time(LEASE_SECS - MOMENT)
    assert job.doubtful == ()
    job.pass_time(2 * MOMENT)
    assert job.doubtful == ("worker:0",)


def test_a_worker_that_tells_of_another_step_is_under_doubt(job: OneWorker) -> None:
    job.cut_holds()
    assert job.worker.connection is not None
    assert job.worker.connection.stream is not None
    assert job.worker.connection.last_progress is not None
    told = control_pb2.Progress()
    told.CopyFrom(job.worker.connection.last_progress)
    told.steps += 1
    job.chief.table.progress(job.worker.connection.stream, told)
    assert job.doubtful == ("worker:0",)


def test_a_worker_that_has_died_while_it_was_parked_is_no_loss(job: OneWorker) -> None:
    job.cut_holds()
    job.worker.die()
    job.chief_notices(job.connections[-1])
    job.probe_absent()
    job.pass_time(60.0)
    assert job.doubtful == ()


def test_a_worker_that_was_known_to_be_dead_only_after_its_lease_is_under_doubt(job: OneWorker) -> None:
    job.cut_holds()
    job.lose()
    job.pass_time(LEASE_SECS)
    job.begin_step(job.worker)
    job.worker.die()
    job.probe_absent()
    job.pass_time(DRAIN_SECS)
    assert job.doubtful == ("worker:0",)


@pytest.mark.parametrize("failed", [False, True])
def test_a_worker_that_leaves_after_its_lease_is_under_doubt_and_one_that_leaves_parked_is_not(
    job: OneWorker, failed: bool
) -> None:
    job.cut_holds()
    job.worker.leave(failed=failed)
    job.exchange(WORKER)
    job.pass_time(60.0)
    assert job.doubtful == ()

    other = OneWorker()
    other.cut_holds()
    other.pass_time(LEASE_SECS)
    other.worker.leave(failed=failed)
    other.exchange(WORKER)
    assert other.doubtful == ("worker:0",)


def test_a_process_that_was_started_since_is_under_doubt_when_its_own_lease_is_over(job: OneWorker) -> None:
    job.cut_holds()
    job.start(WORKER)
    job.connect(WORKER)
    job.deliver_to_chief(job.connections[-1])
    job.pass_time(LEASE_SECS - MOMENT)
    assert job.doubtful == ()
    job.pass_time(2 * MOMENT)
    assert job.doubtful == ("worker:0",)


def test_who_was_counted_among_the_dead_and_comes_back_is_under_doubt(job: OneWorker) -> None:
    job.lose()
    job.park()
    job.chief.table.probed(WORKER, ProbeAnswer.REFUSED, job.clock.now)  # as a firewall says
    job.pass_time(DRAIN_SECS)
    assert job.chief.holds
    assert job.doubtful == ()
    job.connect(WORKER)
    job.exchange(WORKER)
    assert job.doubtful == ("worker:0",)


def test_what_a_cut_has_seen_is_gone_with_it(job: OneWorker) -> None:
    job.cut_holds()
    epoch = job.chief.epoch
    job.pass_time(LEASE_SECS)
    assert job.release() == ("worker:0",)
    assert job.chief.table.doubtful(epoch) == ()
    assert job.member.parked_until == 0.0
    job.exchange(WORKER)
    job.cut_in_calm()


def test_a_release_of_another_cut_releases_nobody(job: OneWorker) -> None:
    job.cut_holds()
    job.chief.table.release(job.chief.epoch + 1)
    job.send()
    job.exchange(WORKER)
    assert job.worker.gate.standing is Standing.PARKED
    assert job.doubtful == ()


# ---- who takes part ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "digest", "reason"),
    [
        ("worker:7", JOB, "'worker:7' is no task of the chief's cluster"),
        ("x" * 1000, JOB, f"'{'x' * 100}' is no task"),
        ("worker:0", "another", "worker:0 has another description of the cluster than the chief"),
        ("worker:0", JOB, "another process has taken the place of this worker:0"),
    ],
)
def test_who_cannot_join_learns_why(job: OneWorker, task: str, digest: str, reason: str) -> None:
    life = job.worker.life
    job.start(WORKER)
    job.connect(WORKER)
    job.exchange(WORKER)
    with pytest.raises(JoinRefusedError, match=reason):
        job.chief.table.join(control_pb2.Hello(job=digest, task=task, life=life))
    assert job.member.state is MemberState.JOINED, "it changes nothing for others"


def test_the_end_of_the_job_comes_last_and_to_those_that_come_later_too(job: OneWorker) -> None:
    job.cut_holds()
    epoch = job.chief.epoch
    job.chief.table.release(epoch)
    job.chief.table.end_job(succeeded=False, reason="disk on fire")
    job.chief.table.end_job(succeeded=True)
    job.send()
    release, over = job.connections[-1].to_member
    assert release.release.epoch == epoch
    assert (over.job_over.succeeded, over.job_over.reason) == (False, "disk on fire")
    job.start(WORKER)
    late = job.chief.table.join(control_pb2.Hello(job=JOB, task="worker:0", life="late"))
    assert [message.WhichOneof("kind") for message in late.take()] == ["welcome", "job_over"]
    assert not late.is_open
    assert job.chief.table.has_streams
    assert not job.chief.table.stream_ended(late), "nobody is lost by the end"
    assert not job.chief.table.has_streams


def test_copies_are_asked_of_a_parameter_server_that_is_there() -> None:
    job = SimulatedJob([SERVER])
    assert not job.chief.table.ask_for_copies("ps:0", 4711, b"token")
    assert not job.chief.table.ask_for_copies("ps:1", 4711, b"token")
    job.start(SERVER)
    job.calm_down()
    assert job.chief.table.ask_for_copies("ps:0", 4711, b"token")
    job.send()
    (message,) = job.connections[-1].to_member
    assert (message.give_copies.port, message.give_copies.token) == (4711, b"token")


# ---- parameter servers ---------------------------------------------------------------------------------------


@pytest.fixture
def with_server() -> SimulatedJob:
    job = SimulatedJob([WORKER, OTHER, SERVER])
    for task in job.tasks:
        job.start(task)
    job.calm_down()
    return job


def told(job: SimulatedJob, task: Task) -> list[str]:
    process = job.process(task)
    assert process is not None
    assert process.connection is not None
    return [message.parameter_server_lost.task for message in process.connection.to_member]


def lose_server(job: SimulatedJob) -> None:
    process = job.process(SERVER)
    assert process is not None
    assert process.connection is not None
    process.connection.break_off()
    job.chief_notices(process.connection)


def test_a_parameter_server_has_some_time_to_come_back(with_server: SimulatedJob) -> None:
    job = with_server
    lose_server(job)
    assert job.chief.table.next_tick_at == job.clock.now + PARAMETER_SERVER_GRACE_SECS
    job.pass_time(PARAMETER_SERVER_GRACE_SECS - MOMENT)
    assert told(job, WORKER) == []
    job.connect(SERVER)
    job.exchange(SERVER)
    assert job.chief.table.next_tick_at is None
    job.pass_time(60.0)
    assert told(job, WORKER) == []


def test_its_time_begins_anew_with_each_loss(with_server: SimulatedJob) -> None:
    job = with_server
    lose_server(job)
    job.pass_time(PARAMETER_SERVER_GRACE_SECS - MOMENT)
    job.connect(SERVER)
    job.exchange(SERVER)
    lose_server(job)
    job.pass_time(2 * MOMENT)
    assert told(job, WORKER) == []
    job.pass_time(PARAMETER_SERVER_GRACE_SECS)
    assert told(job, WORKER) == ["ps:0"]


def test_everybody_learns_once_of_a_parameter_server_that_is_lost(with_server: SimulatedJob) -> None:
    job = with_server
    lose_server(job)
    job.clock.now += PARAMETER_SERVER_GRACE_SECS
    job.chief.table.tick()
    assert job.chief.table.take_lost_parameter_servers() == ("ps:0",), "the chief too"
    assert job.chief.table.take_lost_parameter_servers() == ()
    job.send()
    assert told(job, WORKER) == told(job, OTHER) == ["ps:0"]
    assert job.chief.table.next_tick_at is None
    job.pass_time(60.0)
    job.start(SERVER)
    job.connect(SERVER)
    job.deliver_to_chief(job.connections[-1])
    assert told(job, WORKER) == ["ps:0"], "its successor is no other loss"


@pytest.mark.parametrize("first", ["is still there", "is lost", "has left", "has failed"])
def test_a_parameter_server_is_lost_at_once_when_another_process_takes_its_place(
    with_server: SimulatedJob, first: str
) -> None:
    job = with_server
    process = job.process(SERVER)
    assert process is not None
    if first == "is lost":
        lose_server(job)
    elif first != "is still there":
        process.leave(failed=first == "has failed")
    job.exchange(SERVER)
    assert told(job, WORKER) == []
    job.start(SERVER)
    job.connect(SERVER)
    job.deliver_to_chief(job.connections[-1])
    assert told(job, WORKER) == ["ps:0"]
    assert told(job, SERVER) == [""], "its welcome and nothing else"
