"""Orders of events at which the table of members could go wrong, one by one."""

from __future__ import annotations

import pytest

from autodist_saved.cluster import Task
from autodist_saved.control import control_pb2
from autodist_saved.control.fencing import AGAIN_SECS
from autodist_saved.control.gate import DRAIN_SECS, Standing
from autodist_saved.control.member import Member, MemberState
from autodist_saved.control.member_table import LEASE_MARGIN_SECS, PARAMETER_SERVER_GRACE_SECS, JoinRefusedError
from tests.control.simulated_job import JOB, LEASE_SECS, TRAINING_LEASE_SECS, Process, SimulatedJob

WORKER, OTHER, SERVER, SECOND_SERVER = Task("worker", 0), Task("worker", 1), Task("ps", 0), Task("ps", 1)
LEASE_IS_OVER_SECS = TRAINING_LEASE_SECS + LEASE_MARGIN_SECS
MOMENT = 0.01


class OneWorker(SimulatedJob):
    """A job with one worker, which trains, and perhaps parameter servers."""

    def __init__(self, *servers: Task, watchers: frozenset[str] = frozenset({"chief:0"})) -> None:
        super().__init__([WORKER, *servers], watchers=watchers)
        for task in self.tasks:
            self.start(task)
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
        assert self.worker.is_in_step
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
    job.kernels_tell()
    assert job.lags, "its process lives"
    job.cut_off.add(WORKER)
    job.pass_time(60.0)
    assert job.lags, "nothing is known"


def test_a_worker_that_has_died_drains_from_when_that_is_known(job: OneWorker) -> None:
    job.lose()
    job.pass_time(60.0)
    job.worker.die()
    job.park()
    job.kernels_tell()
    assert job.lags, "it was lost a minute ago, and died just now"
    job.pass_time(DRAIN_SECS - MOMENT)
    assert job.lags
    job.pass_time(2 * MOMENT)
    assert job.chief.holds


def test_what_a_restarted_chief_has_not_seen_drains_too(job: OneWorker) -> None:
    job.begin_step(job.worker)
    job.restart_chief()
    job.worker.die()
    job.park()
    job.pass_time(DRAIN_SECS - MOMENT)
    assert job.lags
    job.pass_time(2 * MOMENT)
    assert job.chief.holds


def test_what_a_kernel_has_told_counts_in_each_cut_at_once(job: OneWorker) -> None:
    job.worker.die()
    job.chief_notices(job.connections[-1])
    job.kernels_tell()
    job.pass_time(60.0)
    for _ in range(2):
        job.park()
        assert job.chief.holds
        job.release()


def test_a_process_whose_place_is_taken_drains(job: OneWorker) -> None:
    job.begin_step(job.worker)
    job.start(WORKER)
    job.connect(WORKER)
    job.park()
    job.exchange(WORKER)
    assert job.lags
    job.kernels_tell()
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
    job.kernels_tell()
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
    job.kernels_tell()
    job.pass_time(60.0)
    assert job.doubtful == ()


def test_a_worker_that_was_known_to_be_dead_only_after_its_lease_is_under_doubt(job: OneWorker) -> None:
    job.cut_holds()
    job.lose()
    job.pass_time(LEASE_SECS)
    job.begin_step(job.worker)
    job.worker.die()
    job.kernels_tell()
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


def test_a_process_that_has_ended_does_not_come_back(job: OneWorker) -> None:
    job.lose()
    job.chief.table.ended(job.chief.table.own, control_pb2.Life(task="worker:0", life=job.worker.life))
    job.connect(WORKER)
    job.exchange(WORKER)
    assert job.worker.is_refused


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


# ---- fences --------------------------------------------------------------------------------------------------


@pytest.fixture
def fenced() -> OneWorker:
    """A job on several machines: no kernel tells of the worker."""
    return OneWorker(SERVER, SECOND_SERVER, watchers=frozenset())


def lose_and_park(job: OneWorker) -> None:
    job.cut_off.add(WORKER)
    job.lose()
    job.pass_time(LEASE_IS_OVER_SECS)
    job.park()


def doubt(job: OneWorker) -> str:
    return " and ".join(member.doubt for member in job.chief.table.lagging(job.chief.epoch))


def test_a_lost_worker_is_shut_out_when_its_lease_is_over_and_named(fenced: OneWorker) -> None:
    job = fenced
    job.train()
    job.heartbeats()
    job.lose()
    job.cut_off.add(WORKER)
    job.park()
    job.pass_time(1.0)
    job.exchange(*job.tasks)
    assert f"its training lease may last for another {LEASE_IS_OVER_SECS - 1:.1f} s" in doubt(job)
    assert job.chief.table.leases_end_at is not None
    job.pass_time(LEASE_IS_OVER_SECS - 1 - MOMENT)
    job.exchange(*job.tasks)
    assert job.lags
    job.pass_time(2 * MOMENT)
    job.exchange(*job.tasks)
    assert job.chief.holds
    assert job.chief.table.shut_out(job.chief.epoch) == ("worker:0",)
    assert job.chief.table.members[0].deaths == 0
    assert job.release() == ()


def test_the_lease_counts_from_the_last_answer(fenced: OneWorker) -> None:
    job = fenced
    job.pass_time(5.0)
    job.worker.reports.heartbeat()
    job.exchange(WORKER)
    answered_at = job.clock.now
    job.lose()
    assert job.chief.table.leases_end_at == answered_at + LEASE_IS_OVER_SECS
    job.pass_time(TRAINING_LEASE_SECS - MOMENT)
    assert job.worker.can_begin_step
    job.pass_time(2 * MOMENT)
    assert not job.worker.can_begin_step


def test_one_parameter_server_is_not_enough(fenced: OneWorker) -> None:
    job = fenced
    lose_and_park(job)
    job.exchange(SERVER)
    assert doubt(job).endswith("ps:1 did not tell which connections are its own")
    second = job.connections[2]
    job.deliver_to_member(second)
    job.deliver_to_chief(second)
    job.exchange(SERVER)
    assert doubt(job).endswith("ps:1 did not answer that it shuts it out")
    job.exchange(SECOND_SERVER)
    job.acquire_if_possible()
    assert job.chief.holds


def test_a_fence_that_cannot_be_put_up_is_tried_again_and_says_why(fenced: OneWorker) -> None:
    job = fenced
    server = job.process(SECOND_SERVER)
    assert server is not None
    server.server.refuses = True
    lose_and_park(job)
    job.exchange(*job.tasks)
    assert doubt(job).endswith("ps:1 cannot shut it out: no fence")
    server.server.refuses = False
    job.pass_time(AGAIN_SECS)
    job.exchange(*job.tasks)
    assert job.chief.holds


def test_all_parameter_servers_have_to_be_there(fenced: OneWorker) -> None:
    job = fenced
    server = job.process(SECOND_SERVER)
    assert server is not None
    server.die()
    job.chief_notices(job.connections[2])
    lose_and_park(job)
    job.exchange(*job.tasks)
    assert doubt(job).endswith("ps:1 would have to shut it out, and is not in the job")


def test_a_job_without_parameter_servers_has_nobody_who_could(job: OneWorker) -> None:
    lose_and_park(job)
    assert doubt(job).endswith("the job has no parameter server that could shut it out")


def test_a_fence_that_is_not_renewed_is_under_doubt(fenced: OneWorker) -> None:
    job = fenced
    lose_and_park(job)
    job.exchange(*job.tasks)
    assert job.chief.holds
    job.pass_time(LEASE_SECS - MOMENT)
    assert job.doubtful == ()
    job.renew()
    job.exchange(*job.tasks)
    job.pass_time(LEASE_SECS - MOMENT)
    assert job.doubtful == ()
    job.renew()
    job.pass_time(2 * MOMENT)
    assert job.doubtful == ("worker:0",)
    job.exchange(*job.tasks)
    assert job.doubtful == ("worker:0",), "the fences were down for a moment"


def test_a_process_that_was_shut_out_and_comes_back_in_the_cut_is_not_under_doubt(fenced: OneWorker) -> None:
    job = fenced
    job.begin_step(job.worker)
    lose_and_park(job)
    job.exchange(*job.tasks)
    assert job.chief.holds
    job.cut_off.clear()
    job.worker.end_step(raises=False)  # its last answer was on its way
    job.connect(WORKER)
    job.exchange(*job.tasks)
    job.renew()
    job.exchange(*job.tasks)
    assert job.release() == ()


def test_a_process_whose_place_another_one_has_taken_is_shut_out_in_each_cut(fenced: OneWorker) -> None:
    job = fenced
    first = job.worker
    job.begin_step(first)
    job.start(WORKER, beside=True)
    job.connect(WORKER)
    job.exchange(*job.tasks)
    for _ in range(2):
        job.pass_time(LEASE_IS_OVER_SECS)
        job.heartbeats()
        job.park()
        job.exchange(*job.tasks)
        assert job.chief.holds
        assert job.worker.gate.standing is Standing.PARKED
        assert job.chief.table.shut_out(job.chief.epoch) == ("worker:0",)
        assert not job.may_write(first)
        assert job.release() == ()
        job.exchange(*job.tasks)
    assert job.member.deaths == 0, "nobody knows"


def test_a_worker_trains_when_a_parameter_server_remembers_it() -> None:
    job = SimulatedJob([WORKER, SERVER])
    job.start(WORKER)
    job.connect(WORKER)
    job.exchange(WORKER)
    process = job.process(WORKER)
    assert process is not None
    assert process.is_welcome
    assert not process.can_begin_step
    job.start(SERVER)
    job.connect(SERVER)
    job.exchange(WORKER, SERVER)
    assert process.can_begin_step


@pytest.mark.parametrize("seen", [True, False], ids=["its_end_was_seen", "nobody_has_seen_its_end"])
def test_the_next_chief_learns_of_a_worker_that_is_lost(seen: bool) -> None:
    job = OneWorker(SERVER, watchers=frozenset({"ps:0"} if seen else ()))
    job.begin_step(job.worker)
    job.restart_chief()
    job.worker.die()
    job.kernels_tell()
    job.connect(SERVER)
    job.exchange(SERVER)
    lost = {str(each.task) for each in job.chief.table._ledger.unproven}
    assert lost == (set() if seen else {"chief:0", "worker:0"})
    job.pass_time(LEASE_IS_OVER_SECS)
    job.park()
    job.exchange(SERVER)
    assert job.chief.holds
    assert set(job.chief.table.shut_out(job.chief.epoch)) == lost


def test_the_next_chief_keeps_out_whose_place_another_one_has_taken(fenced: OneWorker) -> None:
    job = fenced
    first = job.worker
    job.start(WORKER, beside=True)
    job.connect(WORKER)
    job.exchange(*job.tasks)
    job.restart_chief()
    for task in (SERVER, SECOND_SERVER):
        job.connect(task)
    job.exchange(SERVER, SECOND_SERVER)
    job.connect_process(first)
    job.exchange(WORKER)
    assert first.is_refused


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
        job.chief.table.join(control_pb2.Hello(job=digest, process=control_pb2.Process(task=task, life=life)))
    assert job.member.state is MemberState.JOINED, "it changes nothing for others"


def test_the_end_of_the_job_comes_last_and_to_those_that_come_later_too(job: OneWorker) -> None:
    job.cut_holds()
    epoch = job.chief.epoch
    job.chief.table.release(epoch)
    job.chief.table.end_job(succeeded=False, reason="disk on fire")
    job.chief.table.end_job(succeeded=True)
    job.send()
    *_, release, over = job.connections[-1].to_member
    assert release.release.epoch == epoch
    assert (over.job_over.succeeded, over.job_over.reason) == (False, "disk on fire")
    job.start(WORKER)
    late = job.chief.table.join(control_pb2.Hello(job=JOB, process=control_pb2.Process(task="worker:0", life="late")))
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
    *_, message = job.connections[-1].to_member
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
    messages = process.connection.to_member
    return [each.parameter_server_lost.task for each in messages if each.HasField("parameter_server_lost")]


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
    assert told(job, SERVER) == [], "it is not told of itself"
