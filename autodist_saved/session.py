"""The session of a distributed job, on its chief and its workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.checkpoint.hook import CheckpointHook
from autodist_saved.cluster import Cluster
from autodist_saved.control.gate import Gate
from autodist_saved.errors import UsageError, WrongTaskError
from autodist_saved.job.job import Job, JobHook
from autodist_saved.job.session_creator import ChiefStart, GatedSessionCreator, WorkerCreator
from autodist_saved.job.sync_waits import check_sync_waits
from autodist_saved.job.tensorflow_server import start_tensorflow_server
from autodist_saved.options import SessionOptions
from autodist_saved.saver import Saver, required_saver
from autodist_saved.sources.plain_session import plain_session

Hooks = Iterable[v1.train.SessionRunHook]


def create_distributed_session(
    cluster: Cluster,
    *,
    saver: Saver | None = None,
    checkpoint_dir: str | None = None,
    hooks: Hooks = (),
    chief_only_hooks: Hooks = (),
    scaffold: v1.train.Scaffold | None = None,
    save_checkpoint_secs: float | None = 600,
    save_checkpoint_steps: int | None = None,
    save_summaries_steps: int | None = 100,
    log_step_count_steps: int | None = 100,
    config: v1.ConfigProto | None = None,
    options: SessionOptions | None = None,
) -> DistributedSession:
    """Make a monitored session on the cluster, for the default graph. Chief and workers call it.

    The chief initializes the variables, or restores them from the newest checkpoint. Workers wait until it has. The
    chief also writes checkpoints and summaries. In a process without a cluster this is an ordinary monitored session.

    SIGTERM may come to all tasks at once. A worker then trains on until the chief has ended the job or is gone, or
    for ``options.sigterm_secs``, so that the chief can export a last time. Then the worker ends with
    ``SystemExit(143)``, or calls the signal handler that was there before.

    Args:
        cluster: the job, and which of its tasks this process is.
        saver: an ``autodist_saved.Saver`` made before the session; without it the job cannot be exported.
        checkpoint_dir: where the chief reads and writes checkpoints; None for no checkpoints. Other tasks ignore it.
        hooks: hooks of this task.
        chief_only_hooks: further hooks of the chief.
        scaffold: used instead of a new one; it has to hold ``saver``.
        save_checkpoint_secs: seconds between checkpoints; ignored where ``save_checkpoint_steps`` is given.
        save_checkpoint_steps: steps between checkpoints.
        save_summaries_steps: steps between summaries; None for none.
        log_step_count_steps: steps between two values of ``global_step/sec``; None for none.
        config: of the session. Unless it has device filters, they are set: a task then waits for the chief and the
            parameter servers alone.
        options: how long to wait for which tasks.

    Raises:
        WrongTaskError: a parameter server or an evaluator called it.
        SaverRequiredError: ``saver`` is not an ``autodist_saved.Saver``.
        TaskUnreachableError: tasks that this one needs did not answer in time; the message names them.
        CutTimeoutError: on a chief whose job trains already, workers did not come to the end of their steps in
            ``options.start_timeout_secs``. So nothing was restored.
        UsageError: a synchronous update, or its graph, is such that no cut could stop it.
        ClusterConfigError: this task cannot listen on its address.
        ChiefLostError, JobFailedError: the job ended while this task waited for it.
    """
    options = options or SessionOptions()
    _check(cluster, saver, scaffold)
    scaffold = scaffold or v1.train.Scaffold(saver=saver)
    graph, task = v1.get_default_graph(), cluster.task
    check_sync_waits(graph, None if cluster.is_single or task is None else task.device)
    job = Job(cluster, options)
    try:
        job.start()
        target = ""
        if not cluster.is_single:
            config = _with_filters(config, cluster)
            target = start_tensorflow_server(cluster, config)
        on_chief: ChiefStart | None = None
        if cluster.is_chief:
            creator = v1.train.ChiefSessionCreator(scaffold, target, config, checkpoint_dir)
            on_chief = None if cluster.is_single else ChiefStart(target, config)
            task_hooks = [
                *chief_only_hooks,
                *_chief_hooks(
                    scaffold,
                    checkpoint_dir,
                    save_checkpoint_secs if save_checkpoint_steps is None else None,
                    save_checkpoint_steps,
                    save_summaries_steps,
                    log_step_count_steps,
                ),
            ]
        else:
            creator = WorkerCreator(scaffold, target, config, job, options)
            task_hooks = []
        gated = GatedSessionCreator(creator, job, on_chief=on_chief)
        return DistributedSession(job, gated, [JobHook(job), *task_hooks, *hooks])
    except BaseException as error:
        job.end(error)
        raise


class DistributedSession(v1.train.MonitoredSession):  # type: ignore[misc]
    """A ``tf.compat.v1.train.MonitoredSession`` that takes part in a job. See :func:`create_distributed_session`.

    On the chief, closing it waits for the workers, writes the last checkpoint and ends the job. On a worker,
    closing it leaves the job. An exception on the chief ends the job as failed, on every task.

    Attributes:
        job: what this task knows of the job, for exports.
    """

    def __init__(self, job: Job, creator: v1.train.SessionCreator, hooks: list[v1.train.SessionRunHook]) -> None:
        self.job = job
        super().__init__(session_creator=creator, hooks=hooks)

    @property
    def cluster(self) -> Cluster:
        """The job's cluster; its ``task`` is this process."""
        return self.job.cluster

    @property
    def gate(self) -> Gate:
        """Every ``run`` that changes variables passes it. Put several runs that are one step into
        ``with session.gate.step():``.
        """
        return self.job.gate

    def raw_session(self) -> v1.Session:
        """The TensorFlow session inside. It runs no hooks, and still runs when training should stop."""
        return plain_session(self)

    def wait_for_workers(self, timeout_secs: float | None = None) -> tuple[str, ...]:
        """Wait until the workers have closed their sessions. For the chief; any other task returns at once.

        Args:
            timeout_secs: how long to wait; None for ``SessionOptions.worker_timeout_secs``.

        Returns:
            the workers that still trained, or had never joined, when the time was over.
        """
        return self.job.wait_for_workers(timeout_secs)

    def workers_training(self) -> tuple[str, ...]:
        """The workers that have a session at this moment. The chief knows them; empty on any other task."""
        return self.job.workers_training()

    def export_on_request(self, exporter: Callable[[str], object]) -> None:
        """Let ``autodist-saved export ADDRESS TARGET`` export from this job while it trains.

        Args:
            exporter: called on the chief, in a thread of its own, with the requested directory. It makes a builder
                for the directory, adds to it and saves it. It should raise ``UsageError`` for directories that it
                does not want. Other tasks never call it.
        """
        self.job.export_on_request(exporter)

    def close(self) -> None:
        """End this task's part, as leaving the ``with`` block does."""
        self.__exit__(None, None, None)

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if exception is not None and not isinstance(exception, StopIteration | tf.errors.OutOfRangeError):
            # First of all: the others should not wait for a session that may take long to close.
            self.job.end(exception)
        try:
            suppress = bool(super().__exit__(exception_type, exception, traceback))
        except BaseException as error:
            self.job.end(error)
            raise
        self.job.end(None)
        return suppress


def _check(cluster: Cluster, saver: Any, scaffold: v1.train.Scaffold | None) -> None:
    if cluster.task is not None and cluster.task.type in {"ps", "evaluator"}:
        raise WrongTaskError(
            f"{cluster.task} has no training session; "
            + ("call serve(cluster) here" if cluster.task.type == "ps" else "evaluate checkpoints or exports here"),
            task=str(cluster.task),
        )
    if cluster.task is None and not cluster.is_single:
        raise WrongTaskError("this process is no task of the cluster: set `task` in the cluster file or in TF_CONFIG")
    if saver is not None:
        required_saver(saver)
    if scaffold is not None and saver is not None and scaffold.saver is not saver:
        raise UsageError(
            "the scaffold holds another saver: make it with Scaffold(saver=saver), or leave one of the two out"
        )


def _chief_hooks(
    scaffold: v1.train.Scaffold,
    directory: str | None,
    checkpoint_secs: float | None,
    checkpoint_steps: int | None,
    summary_steps: int | None,
    step_count_steps: int | None,
) -> list[v1.train.SessionRunHook]:
    if directory is None:
        return []
    hooks: list[v1.train.SessionRunHook] = []
    if step_count_steps:
        hooks.append(v1.train.StepCounterHook(every_n_steps=step_count_steps, output_dir=directory))
    if summary_steps:
        hooks.append(v1.train.SummarySaverHook(save_steps=summary_steps, output_dir=directory, scaffold=scaffold))
    if checkpoint_secs or checkpoint_steps:
        hooks.append(
            CheckpointHook(directory, save_secs=checkpoint_secs, save_steps=checkpoint_steps, scaffold=scaffold)
        )
    return hooks


def _with_filters(config: v1.ConfigProto | None, cluster: Cluster) -> v1.ConfigProto:
    filtered = v1.ConfigProto()
    if config is not None:
        filtered.CopyFrom(config)
    if not filtered.device_filters and cluster.task is not None:
        filtered.device_filters.extend(["/job:ps", cluster.task.device])
    return filtered
