"""Cuts of a real job while the network between a worker and the chief is cut; the parameter servers reach both."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator

import pytest

from autodist_saved.cluster import Cluster, ControlFiles
from autodist_saved.cut.gate_cut import LEASE_SECS
from tests.support.cut_job import CutJob
from tests.support.network import Network, needs_iproute2

pytestmark = [pytest.mark.root, needs_iproute2]

HOSTS = {"ps:0": "others", "ps:1": "others", "worker:1": "others", "worker:0": "worker", "chief:0": "chief"}


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    network = Network(dict.fromkeys(HOSTS.values()))
    try:
        network.make()
        yield network
    finally:
        network.remove()


@pytest.fixture(scope="module")
def job(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CutJob]:
    def address(task: str, port: int) -> str:
        return f"{network.addresses[HOSTS[task]]}:{port}"

    addresses = {
        "chief": (address("chief:0", 2222),),
        "worker": (address("worker:0", 2222), address("worker:1", 2222)),
        "ps": (address("ps:0", 2223), address("ps:1", 2224)),
    }
    behind = {task: network.behind(host) for task, host in HOSTS.items()}
    results = tmp_path_factory.mktemp("network")
    token = results / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex())
    job = CutJob(Cluster(addresses, control_files=ControlFiles(token_file=str(token))), results, behind=behind)
    try:
        job.train()
        yield job
    finally:
        job.end()


@pytest.fixture
def cut_off(job: CutJob, network: Network) -> Iterator[None]:
    """Mends the network after a test that cuts it."""
    yield
    network.mend("chief", "worker")
    job.export().succeed()


@pytest.mark.usefixtures("cut_off")
def test_a_worker_that_cannot_be_reached_is_named_and_everybody_trains_on(job: CutJob, network: Network) -> None:
    network.cut("chief", "worker")
    since = time.monotonic()
    found = job.export(cut_timeout_secs=3).fail("CutTimeoutError")
    assert f"worker:0 ({job.cluster.addresses['worker'][0]}): last heard of" in found["message"]
    assert found["task"] == "worker:0"
    assert not job.has_stood_still("worker:0", since)
    job.wait_for_steps(without=["worker:0"])


@pytest.mark.usefixtures("cut_off")
def test_a_parked_worker_that_is_cut_off_goes_on_after_its_lease_and_the_export_is_refused(
    job: CutJob, network: Network
) -> None:
    export = job.export(halt="after staging", lease_secs=LEASE_SECS)
    since = export.wait_until_halted()
    network.cut("chief", "worker")
    assert job.longest_pause("worker:0", since) > LEASE_SECS / 2
    assert job.is_standing_still("worker:1", since - LEASE_SECS)
    export.go()
    assert export.fail("InconsistentError")["task"] == "worker:0"
    job.wait_for_steps(without=["worker:0"])


@pytest.mark.usefixtures("cut_off")
def test_a_worker_that_stays_away_is_shut_out_when_its_training_lease_is_over(job: CutJob, network: Network) -> None:
    network.cut("chief", "worker")
    witness = job.export().succeed()["witness"]
    assert witness["shut_out"] == ["worker:0"]
    assert witness["deaths"] == 0
    assert witness["steps"].keys() == {"chief:0", "worker:1"}
    trained = job.steps("worker:0")
    job.wait_for_steps(without=["worker:0"])
    assert job.export().succeed()["witness"]["shut_out"] == ["worker:0"]
    assert job.steps("worker:0") == trained, "it waits for the chief"
    network.mend("chief", "worker")
    job.wait_for_steps()
    assert job.export().succeed()["witness"]["shut_out"] == []
