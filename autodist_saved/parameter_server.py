"""What a parameter server runs."""

from __future__ import annotations

import logging
import threading

from autodist_saved.cluster import Cluster
from autodist_saved.cluster.address import Address
from autodist_saved.control.member_client import MemberClient
from autodist_saved.control.member_signals import MemberSignals
from autodist_saved.errors import WrongTaskError
from autodist_saved.fencing import Fence
from autodist_saved.job.tensorflow_server import start_tensorflow_server
from autodist_saved.job.uncaught import print_failures_of_others_in_short
from autodist_saved.options import SessionOptions
from autodist_saved.sources.held_variables import HeldVariables
from autodist_saved.system.process_one import heed_sigterm
from autodist_saved.transport.server_connection import serve_copies
from autodist_saved.transport.staging_memory import StagingMemory

_LOOK_SECS = 0.5

log = logging.getLogger(__name__)


def serve(cluster: Cluster, *, options: SessionOptions | None = None) -> None:
    """Hold variables for the job until it is over. Every ``ps`` task calls it instead of training.

    SIGTERM may come to all tasks at once. It ends this process when the chief has ended the job or is gone, or after
    ``options.sigterm_secs``, so that the chief can export a last time.

    Raises:
        WrongTaskError: this process is no parameter server.
        ClusterConfigError: the task's address is in use, or not this machine's. Or the files of the control service
            are missing or wrong.
        JobError: the chief rejected this task.
        TaskUnreachableError: the chief did not answer within ``options.start_timeout_secs``.
        ChiefLostError: the chief has been gone for ``options.chief_timeout_secs``.
        JobFailedError: the chief has failed.
        SystemExit: with status 143, after SIGTERM to this task, or to the chief. Where the program has a handler for
            SIGTERM, that is called instead.
    """
    if cluster.task is None or cluster.task.type != "ps":
        raise WrongTaskError(
            f"serve() is for parameter servers, and this process is {cluster.task or 'no task of a cluster'}; "
            "call create_distributed_session() here",
            task=str(cluster.task),
        )
    heed_sigterm()
    print_failures_of_others_in_short()
    options = options or SessionOptions()
    memory = StagingMemory()

    def give_copies(address: tuple[str, int], token: bytes) -> None:
        wanted = (address, token, variables.open, memory, membership.tls)
        threading.Thread(target=serve_copies, args=wanted, name="copies", daemon=True).start()

    fence = Fence(Address.of(cluster.address(cluster.task)).port)
    membership = MemberClient(cluster, options, give_copies=give_copies, fence=fence)
    variables = HeldVariables(start_tensorflow_server(cluster), cluster.task.device)
    membership.join()
    signals = MemberSignals(cluster, membership, options.sigterm_secs)
    signals.heed()
    try:
        while not membership.wait_for_end(_LOOK_SECS):
            signals.end_if_told()
        signals.end_if_told()
        membership.is_over()
    finally:
        signals.forget()
    log.info("%s: the job is over", cluster.task)
