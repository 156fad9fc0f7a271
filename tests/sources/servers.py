"""TensorFlow servers of parameter servers, in this process. A server cannot be stopped; it ends with the process."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

import tensorflow as tf


def start_parameter_servers(count: int) -> list[Any]:
    """Servers of one job."""
    with contextlib.ExitStack() as taken:
        ports = [taken.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(count)]
    cluster = tf.train.ClusterSpec({"ps": [f"127.0.0.1:{port}" for port in ports]})
    return [tf.distribute.Server(cluster, job_name="ps", task_index=number) for number in range(count)]
