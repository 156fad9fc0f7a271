"""A job that trains on and exports whenever the test asks for it. Run by every task.

The test leaves ``export-NAME`` for the chief, and may have the export halt at a point until it leaves ``go-NAME``.
As long as there is ``hold-TASK``, the task is within a step. In ``steps-TASK`` is the moment of every step, in
``standstills-TASK`` when its gate was closed and opened. Nobody trains on from the step in ``last-step``. As long as
there is ``hold-restore``, a restore halts when the first piece has its value.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import tensorflow as tf
import tensorflow.compat.v1 as v1

import autodist_saved as ads
from autodist_saved.checkpoint import streaming
from autodist_saved.control.gate import Gate, Standing
from autodist_saved.cut import gate_cut
from autodist_saved.job import session_job
from autodist_saved.plan import ExportPlan, Piece
from autodist_saved.sources.session_sink import SessionSink
from autodist_saved.sources.session_source import SessionSource
from autodist_saved.sources.source import Array, Staged
from autodist_saved.sources.transfer import Transfer
from tests.support.job import leave

# A chief that is killed is back before it is given up: a process takes its time to load TensorFlow on a busy machine.
OPTIONS = ads.SessionOptions(
    chief_timeout_secs=60,
    worker_timeout_secs=20,
    training_lease_secs=float(os.environ.get("TRAINING_LEASE_SECS", "10")),
)
WORK_SECS = 0.03  # the rest of a step: five processes share what there is of processors
LOOK_SECS = 0.02

Halt = Callable[[str], None]


class _Exports(threading.local):
    """Where the export of this thread halts; checkpoints do so nowhere."""

    halt: Halt = staticmethod(lambda _: None)


_exports = _Exports()


class HaltingSource(SessionSource):
    """The source of a job whose exports halt where the test wants them to."""

    def stage(self, plan: ExportPlan) -> Staged:
        _exports.halt("before staging")
        staged = super().stage(plan)
        _exports.halt("after staging")
        return staged

    def transfers(self) -> Mapping[str, Transfer]:
        transfers = super().transfers()
        _exports.halt("streaming")
        return transfers


class HaltingSink(SessionSink):
    """The sink of a restore that halts in the middle."""

    results: Path

    def write(self, piece: Piece, row_start: int, rows: Array) -> None:
        super().write(piece, row_start, rows)
        hold = self.results / "hold-restore.json"
        if hold.exists():
            leave(self.results, "restoring", True)
            while hold.exists():
                time.sleep(LOOK_SECS)


def watch(gate: Gate, standstills: IO[str]) -> None:
    """Note when the gate is closed (1), steps under way or not, and when it is open again (0)."""
    was_closed = False
    while True:
        closed = gate.standing is not Standing.TRAINING
        if closed is not was_closed:
            standstills.write(f"{time.monotonic()} {closed:d}\n")
            was_closed = closed
        time.sleep(LOOK_SECS)


def wait_for(path: Path) -> None:
    """Until the test has left a file. Can be interrupted."""
    while not path.exists():
        time.sleep(LOOK_SECS)


class WithSparseAdam(v1.train.Optimizer):  # type: ignore[misc]
    """Another optimizer for the counter, Adam for all else. Under sparse gradients Adam's moments decay anyway."""

    def __init__(self, of_counter: Any) -> None:
        super().__init__(use_locking=True, name="both")
        self._of_counter, self._adam = of_counter, v1.train.AdamOptimizer(0.01)

    def apply_gradients(self, grads_and_vars: Any, global_step: Any = None, name: str | None = None) -> tf.Operation:
        pairs = list(grads_and_vars)
        counted = [pair for pair in pairs if pair[1].op.name.startswith("counter")]
        others = [pair for pair in pairs if not pair[1].op.name.startswith("counter")]
        with tf.control_dependencies([self._adam.apply_gradients(others)]):
            return self._of_counter.apply_gradients(counted, global_step, name)


def trained_variables(step: tf.Variable, *, synchronous: bool) -> tuple[tf.Operation, Any]:
    """An op that trains one step, and a hook that it needs. Every number of ``counter`` is then the global step."""
    counter = v1.get_variable(
        "counter", [64, 8], partitioner=v1.fixed_size_partitioner(2), initializer=v1.zeros_initializer()
    )
    loss = -tf.reduce_sum(tf.convert_to_tensor(counter))
    optimizer = v1.train.GradientDescentOptimizer(1.0, use_locking=True)
    if not synchronous:
        return optimizer.minimize(loss, global_step=step), None
    cluster = ads.Cluster.from_tf_config()
    trainers = len(cluster.tasks) - len(cluster.addresses["ps"])
    optimizer = v1.train.SyncReplicasOptimizer(WithSparseAdam(optimizer), trainers, trainers)
    # As in batch normalization: a worker changes moments of its own batch, then waits for the others.
    moments = v1.get_variable("moments", [4], initializer=v1.zeros_initializer(), trainable=False)
    with tf.control_dependencies([moments.assign_add(tf.ones([4]), use_locking=True)]):
        rows = v1.get_variable("rows", [8, 4], initializer=v1.ones_initializer())
        loss = loss + tf.reduce_sum(tf.nn.embedding_lookup(rows, [0, 5]) ** 2)
        train_op = optimizer.minimize(loss, global_step=step)
    return train_op, optimizer.make_session_run_hook(cluster.is_chief)


class Exports:
    """What the test asks the chief for. Inline exports wait for the training loop, others have their own thread."""

    def __init__(self, results: Path, session: Any, savers: list[ads.Saver]) -> None:
        self._results = results
        self._session = session
        self._savers = savers
        self._inline: queue.SimpleQueue[tuple[str, dict[str, Any]]] = queue.SimpleQueue()
        threading.Thread(target=self._watch, daemon=True).start()

    def run_inline(self) -> None:
        """Run one, if one is asked for. The training thread calls it between its steps."""
        with contextlib.suppress(queue.Empty):
            self._run(*self._inline.get_nowait())

    def _watch(self) -> None:
        while True:
            for path in self._results.glob("export-*.json"):
                request = path.stem.removeprefix("export-"), json.loads(path.read_text())
                path.unlink()
                if request[1]["thread"]:
                    threading.Thread(target=self._run, args=request, daemon=True).start()
                else:
                    self._inline.put(request)
            time.sleep(LOOK_SECS)

    def _run(self, name: str, request: dict[str, Any]) -> None:
        error: BaseException | None = None
        report = None
        gate_cut.LEASE_SECS = request["lease_secs"]
        with self._halting(name, request["halt"]):
            try:
                builder = ads.SavedModelBuilder(
                    self._results / "models" / name, options=ads.ExportOptions(**request["options"])
                )
                saver = self._savers[request["saver"]]
                builder.add_meta_graph_and_variables(self._session, ["serve"], saver=saver)
                builder.save()
                report = builder.report.as_dict()
            except BaseException as raised:  # noqa: BLE001 - an interrupt too: the test looks at what it leaves behind
                error = raised
        found = {
            "error": None if error is None else type(error).__name__,
            "message": str(error),
            "task": getattr(error, "task", None),
            "report": report,
        }
        leave(self._results, f"exported-{name}", found)

    @contextlib.contextmanager
    def _halting(self, name: str, where: str | None) -> Iterator[None]:
        def halt(place: str) -> None:
            if place == where:
                leave(self._results, f"halted-{name}", time.monotonic())
                wait_for(self._results / f"go-{name}.json")

        _exports.halt = halt
        yield
        del _exports.halt


def main(results: Path) -> None:
    v1.disable_eager_execution()
    v1.enable_resource_variables()
    session_job.SessionSource = HaltingSource  # type: ignore[attr-defined]
    streaming.SessionSink = HaltingSink  # type: ignore[attr-defined,misc]
    HaltingSink.results = results
    cluster = ads.Cluster.from_tf_config()
    task = str(cluster.task)
    if task.startswith("ps"):
        ads.serve(cluster, options=OPTIONS)
        return
    hold, stop, last_step = (results / f"{name}.json" for name in (f"hold-{task}", f"stop-{task}", "last-step"))
    with tf.Graph().as_default(), cluster.device_scope():
        step = v1.train.get_or_create_global_step()
        train_op, hook = trained_variables(step, synchronous="SYNCHRONOUS" in os.environ)
        savers = [ads.Saver(), ads.Saver()]
        with (
            (results / f"steps-{task}").open("a", buffering=1) as steps,
            (results / f"standstills-{task}").open("a", buffering=1) as standstills,
            ads.create_distributed_session(
                cluster,
                saver=savers[0],
                checkpoint_dir=str(results / "checkpoints"),
                save_summaries_steps=None,
                log_step_count_steps=None,
                hooks=[hook] if hook else [],
                options=OPTIONS,
            ) as sess,
        ):
            leave(results, f"joined-{task}", os.getpid())
            threading.Thread(target=watch, args=(sess.gate, standstills), daemon=True).start()
            exports = Exports(results, sess, savers) if cluster.is_chief else None
            while not sess.should_stop() and not stop.exists():
                if exports:
                    exports.run_inline()
                if last_step.exists() and sess.raw_session().run(step) >= json.loads(last_step.read_text()):
                    if not exports:
                        break
                    time.sleep(LOOK_SECS)
                    continue
                with sess.gate.step() if hold.exists() else contextlib.nullcontext():
                    if hold.exists():
                        leave(results, f"held-{task}", sess.gate.steps)
                        while hold.exists():
                            time.sleep(LOOK_SECS)
                    sess.run(train_op)
                    steps.write(f"{time.monotonic()} {os.getpid()}\n")
                time.sleep(WORK_SECS)
    leave(results, f"done-{task}", True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
