"""The TensorFlow session of a task, whose training steps pass the task's gate."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol

import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved import tensorflow_private
from autodist_saved.cluster import Cluster
from autodist_saved.cut.cut import Cut
from autodist_saved.errors import JobError, UsageError
from autodist_saved.gate import Gate
from autodist_saved.graph_writes import GraphWrites
from autodist_saved.journal import Journal


class GatedJob(Protocol):
    """The job of a session: what a saver, which is handed nothing but the session, has to know of it."""

    cluster: Cluster
    gate: Gate
    journal: Journal

    def export_on_request(self, exporter: Callable[[str], object]) -> None:
        """Let the console of the chief's job export. Does nothing on any other task."""

    def cut(self, timeout_secs: float, *, wait: bool = False) -> Cut:
        """A cut of the whole job that lasts so long at most. Raises ``UsageError`` on any task but the chief.

        There is one at a time; ``wait`` says whether it waits for another one, instead of raising.
        """

    def is_over(self) -> bool:
        """Whether it has ended with success. Raises where it has failed, or lost its chief."""

    def workers_training(self) -> tuple[str, ...]:
        """The workers that train at this moment, as far as this task knows."""


class GatedSession(v1.Session):  # type: ignore[misc]
    """A session every run of which that changes variables is a step through the gate. All others pass by.

    TensorFlow makes its sessions deep inside its session manager; :meth:`adopt` makes one of these out of them. So
    the runs of hooks, of queue runners and within ``run_step_fn`` pass the gate, too.
    """

    job: GatedJob
    lost: str = ""  # the parameter server whose loss has ended this session
    _writes: GraphWrites

    @classmethod
    def adopt(cls, session: v1.Session, job: GatedJob) -> GatedSession:
        """Put the job's gate into a plain session, no step of which is under way."""
        session.__class__ = cls
        adopted: GatedSession = session
        adopted.job, adopted._writes = job, GraphWrites(session.graph)
        return adopted

    @property
    def gate(self) -> Gate:
        """Where the training steps of this process pass."""
        return self.job.gate

    def run(self, fetches: Any, *args: Any, **kwargs: Any) -> Any:
        """See ``tf.compat.v1.Session.run``. Raises ``AbortedError`` once a parameter server is lost,
        and ``ChiefLostError`` or ``JobFailedError`` where the job ends while it runs.
        """
        try:
            with self._step(fetches):
                return super().run(fetches, *args, **kwargs)
        except (tf.errors.CancelledError, RuntimeError) as error:
            # That it was closed is only what has become of it.
            if self.lost:
                raise tf.errors.AbortedError(None, None, f"{self.lost} is lost, and what it held") from error
            self.job.is_over()
            raise

    def partial_run(self, handle: Any, fetches: Any, *args: Any, **kwargs: Any) -> Any:
        """See ``tf.compat.v1.Session.partial_run``. Each part is a step; put ``gate.step()`` around all of them."""
        with self.gate.step():
            return super().partial_run(handle, fetches, *args, **kwargs)

    def make_callable(self, fetches: Any, *args: Any, **kwargs: Any) -> Callable[..., Any]:
        """See ``tf.compat.v1.Session.make_callable``."""
        run = super().make_callable(fetches, *args, **kwargs)
        if not self._writes.any_in(fetches):
            return run  # type: ignore[no-any-return]

        def step(*args: Any, **kwargs: Any) -> Any:
            with self._step(fetches):
                return run(*args, **kwargs)

        return step

    def _make_callable_from_options(self, *args: Any, **kwargs: Any) -> Callable[..., Any]:
        """TensorFlow's private one, for Keras. What it runs is not looked at: each call is a step."""
        run = super()._make_callable_from_options(*args, **kwargs)

        def step(*args: Any, **kwargs: Any) -> Any:
            with self.gate.step():
                return run(*args, **kwargs)

        return step

    def _step(self, fetches: Any) -> AbstractContextManager[None]:
        """What a run of these fetches is, to the gate."""
        writes, update_gate = self._writes.look(fetches)
        if not writes:
            return contextlib.nullcontext()
        step = self.gate.step()
        return step if update_gate is None else update_gate.passing(step)


@contextlib.contextmanager
def losses_told(session: v1.Session) -> Iterator[None]:
    """That a session of a running job is closed is no mistake of the program: the job has lost a task.

    Raises:
        JobError: in place of the ``UsageError`` that says so, where it is.
    """
    try:
        yield
    except UsageError as error:
        if not tensorflow_private.is_closed(session):
            raise
        lost = getattr(session, "lost", "")
        raise JobError(
            f"{lost or 'a task'} is lost, and the session with it; exports go on with the next session",
            task=lost or None,
        ) from error
