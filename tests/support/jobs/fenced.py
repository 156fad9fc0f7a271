"""A job of stock TensorFlow whose parameter servers are fenced when the test asks. Run by every task until killed.

The test leaves ``ask-TASK-NUMBER``, and the task leaves ``answer-TASK-NUMBER``. Each worker adds 1 to a variable of
its own on every parameter server in each step. Worker 1 initializes the variables. As long as there is
``pause-TASK``, a worker begins no step; as long as there is ``hold-TASK``, it does not come to the end of one.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.fencing import Endpoint, Fence, FenceError, endpoints_to
from autodist_saved.fencing.process_sockets import local_end, remote_end, tcp_sockets
from tests.support.job import leave

LOOK_SECS = 0.02
SHUT_OUT_SECS = 60.0  # a step is given half of it to end by itself

Answers = Mapping[str, Callable[..., Any]]


class Told:
    """Answers what the test asks."""

    def __init__(self, results: Path, task: str, answers: Answers) -> None:
        self._results, self._task, self._answers = results, task, answers

    def answer_all(self) -> None:
        while True:
            for path in sorted(self._results.glob(f"ask-{self._task}-*.json")):
                question = json.loads(path.read_text())
                path.unlink()
                try:
                    answer = {"value": self._answers[question.pop("what")](**question)}
                except FenceError as error:
                    answer = {"error": str(error)}
                leave(self._results, path.stem.replace("ask-", "answer-"), answer)
            time.sleep(LOOK_SECS)


class Sessions(v1.train.SessionRunHook):  # type: ignore[misc]
    """Counts how often the session was made."""

    def __init__(self) -> None:
        self.count = 0

    def after_create_session(self, session: Any, coord: Any) -> None:
        self.count += 1


def counts(workers: int, servers: Iterable[int]) -> dict[str, Any]:
    made = {}
    for server in servers:
        with tf.device(f"/job:ps/task:{server}/device:CPU:0"):
            for worker in range(workers):
                name = f"worker{worker}_ps{server}"
                made[name] = v1.get_variable(name, [], tf.int32, v1.zeros_initializer(), use_resource=True)
    return made


def serve(results: Path, cluster: Mapping[str, list[str]], index: int, target: str) -> None:
    address = cluster["ps"][index]
    fence = Fence(int(address.rpartition(":")[2]))
    with tf.Graph().as_default():
        values = [each.read_value() for each in counts(len(cluster["worker"]), [index]).values()]
        session = v1.Session(target, config=v1.ConfigProto(device_filters=[f"/job:ps/task:{index}"]))

        def shut_out(allowed: list[str]) -> list[str]:
            return [str(end) for end in fence.shut_out({Endpoint.parse(each) for each in allowed}, SHUT_OUT_SECS)]

        def connected() -> list[str]:
            here = (each for each in tcp_sockets() if str(local_end(each).port) == address.rpartition(":")[2])
            return [str(end) for end in map(remote_end, here) if end is not None]

        answers: Answers = {
            "shut out": shut_out,
            "lift": fence.lift,
            "connected": connected,
            "counts": lambda: [int(value) for value in session.run(values)],
            "endpoints": lambda address: [str(end) for end in endpoints_to(address)],
        }
        Told(results, f"ps:{index}", answers).answer_all()


class EagerWorkerCreator(v1.train.SessionCreator):
    """TensorFlow's own wait for variables. Its ``WorkerSessionCreator`` looks every 30 s, this one every second."""

    def __init__(self, scaffold: v1.train.Scaffold, target: str, config: v1.ConfigProto) -> None:
        self._scaffold, self._target, self._config = scaffold, target, config

    def create_session(self) -> v1.Session:
        self._scaffold.finalize()
        manager = v1.train.SessionManager(ready_op=self._scaffold.ready_op, recovery_wait_secs=1)
        return manager.wait_for_session(self._target, self._config)


def train(results: Path, cluster: Mapping[str, list[str]], index: int, target: str) -> None:
    task = f"worker:{index}"
    pause, hold = results / f"pause-{task}.json", results / f"hold-{task}.json"
    sessions, steps = Sessions(), 0

    def one() -> np.int32:
        if hold.exists():
            leave(results, f"held-{task}", True)
            while hold.exists():
                time.sleep(LOOK_SECS)
        return np.int32(1)

    answers: Answers = {
        "sessions": lambda: sessions.count,
        "steps": lambda: steps,
        "endpoints": lambda address: [str(end) for end in endpoints_to(address)],
    }
    threading.Thread(target=Told(results, task, answers).answer_all, daemon=True).start()
    with tf.Graph().as_default():
        variables = counts(len(cluster["worker"]), range(len(cluster["ps"])))
        with tf.device(f"/job:worker/task:{index}/device:CPU:0"):
            added = v1.numpy_function(one, [], tf.int32)
        added.set_shape([])
        own = [variables[f"worker{index}_ps{server}"] for server in range(len(cluster["ps"]))]
        step = tf.group(*(each.assign_add(added, read_value=False) for each in own))
        config = v1.ConfigProto(device_filters=["/job:ps", f"/job:worker/task:{index}"])
        scaffold = v1.train.Scaffold()
        creator = (
            v1.train.ChiefSessionCreator(scaffold, target, config)
            if index == 1
            else EagerWorkerCreator(scaffold, target, config)
        )
        with v1.train.MonitoredSession(creator, hooks=[sessions]) as session:
            while True:
                if pause.exists():
                    leave(results, f"paused-{task}", True)
                    time.sleep(LOOK_SECS)
                    continue
                session.run(step)
                steps += 1


def main(results: Path) -> None:
    v1.disable_eager_execution()
    described = json.loads(os.environ["TF_CONFIG"])
    cluster, task = described["cluster"], described["task"]
    server = tf.distribute.Server(cluster, task["type"], task["index"])
    role = serve if task["type"] == "ps" else train
    role(results, cluster, task["index"], server.target)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
