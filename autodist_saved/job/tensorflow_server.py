"""The TensorFlow server that every task of a cluster runs."""

from __future__ import annotations

import tensorflow as tf

from autodist_saved.cluster import Cluster
from autodist_saved.errors import ClusterConfigError, Problem, WrongTaskError

# TensorFlow cannot stop a server, so a process has at most one at an address, as long as it lives.
_running: dict[str, tf.distribute.Server] = {}


def runs_tensorflow_server() -> bool:
    """Whether this process is a task of a cluster already."""
    return bool(_running)


def start_tensorflow_server(cluster: Cluster, config: tf.compat.v1.ConfigProto | None = None) -> str:
    """Start this task's TensorFlow server, unless it runs already. Returns the target for sessions.

    Raises:
        ClusterConfigError: the task's address is taken, or not this machine's.
    """
    if cluster.task is None:
        raise WrongTaskError("this process is no task of the cluster: set `task` in the cluster file or in TF_CONFIG")
    address = cluster.address(cluster.task)
    if address not in _running:
        try:
            _running[address] = tf.distribute.Server(
                tf.train.ClusterSpec({job: list(hosts) for job, hosts in cluster.addresses.items()}),
                job_name=cluster.task.type,
                task_index=cluster.task.index,
                config=config,
            )
        except (tf.errors.UnknownError, tf.errors.UnavailableError) as error:
            raise ClusterConfigError(
                f"the TensorFlow server of {cluster.task} cannot start",
                problems=[
                    Problem(
                        f"address {address} of {cluster.task}",
                        f"it cannot be listened on ({error.message.splitlines()[0]})",
                        "end the process that holds the port, or give the task another address on every task",
                    )
                ],
            ) from error
    return str(_running[address].target)
