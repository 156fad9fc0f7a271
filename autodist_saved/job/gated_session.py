"""The TensorFlow session of a task, whose training steps pass the task's gate."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.control.gate import Gate
from autodist_saved.errors import JobError, UsageError
from autodist_saved.job.session_job import SessionJob
from autodist_saved.job.step_detection import RunKind, StepDetector
from autodist_saved.job.sync_wait import PartedRun, SyncWait
from autodist_saved.tf_internals import private_api

# How long a run may take to fail by itself when the task that it reached is dead.
FAILING_SECS = 5.0
# How long closing may take. TensorFlow waits for the answer of every task, and one may have ended just now: after the
# end of a job nobody tells who is lost.
CLOSING_SECS = 10.0

log = logging.getLogger(__name__)


class GatedSession(v1.Session):  # type: ignore[misc]
    """A session in which every run that changes variables passes the gate. All other runs do not.

    TensorFlow makes its sessions deep inside its session manager, and hands the same object to hooks, queue runners
    and ``run_step_fn``. :meth:`adopt` changes the class of that object, so that all of these pass the gate, and
    ``isinstance(session, tf.compat.v1.Session)`` still holds.

    Once a parameter server is lost, the session runs nothing any more, and :meth:`close` does not wait. Otherwise it
    waits for :data:`CLOSING_SECS` at most, and leaves the rest to a thread. After a failed run TensorFlow asks every
    task of it to clean up (``CleanupGraph``). It waits for all answers before it closes a session, and no run returns
    meanwhile. With a dead task that lasts until another process listens at its address.
    """

    job: SessionJob
    lost: str = ""  # the parameter server whose loss ended this session
    _writes: StepDetector
    _changed: threading.Condition
    _under_way: set[object]
    _is_broken: bool = False
    _is_awaited: bool = False
    _stays_open: bool = False

    @classmethod
    def adopt(cls, session: v1.Session, job: SessionJob) -> GatedSession:
        """Put the job's gate into a plain session. No step of it may be under way."""
        session.__class__ = cls
        adopted: GatedSession = session
        adopted.job, adopted._writes = job, StepDetector(session.graph)
        adopted._changed, adopted._under_way = threading.Condition(), set()
        return adopted

    @property
    def gate(self) -> Gate:
        """Where the training steps of this process pass."""
        return self.job.gate

    def run(self, fetches: Any, feed_dict: Any = None, *args: Any, **kwargs: Any) -> Any:
        """See ``tf.compat.v1.Session.run``.

        Raises:
            tf.errors.AbortedError: a parameter server is lost. A monitored session makes itself anew then.
            ChiefLostError, JobFailedError: the job ended while this ran.
            UsageError: it would wait for other tasks within a step.
        """
        kind = self._writes.look(fetches)
        if kind.wait is None:
            with self._running(self._passage(kind)):
                return super().run(fetches, feed_dict, *args, **kwargs)
        parted = self._parted(kind, kind.wait)
        with self._running(parted):
            return super().run(fetches, {**(feed_dict or {}), **kind.wait.feed(parted)}, *args, **kwargs)

    def partial_run(self, handle: Any, fetches: Any, *args: Any, **kwargs: Any) -> Any:
        """See ``tf.compat.v1.Session.partial_run``. Each part is a step; put ``gate.step()`` around all of them."""
        with self._running(self.gate.step()):
            return super().partial_run(handle, fetches, *args, **kwargs)

    def make_callable(self, fetches: Any, feed_list: Any = None, *args: Any, **kwargs: Any) -> Callable[..., Any]:
        """See ``tf.compat.v1.Session.make_callable``."""
        # With a list of feeds TensorFlow's calls run(), and only that can feed what a run with a wait needs.
        if feed_list is None and self._writes.look(fetches).wait is not None:
            feed_list = []
        run: Callable[..., Any] = super().make_callable(fetches, feed_list, *args, **kwargs)
        if feed_list is not None:
            return run

        def call(*args: Any, **kwargs: Any) -> Any:
            with self._running(self._passage(self._writes.look(fetches))):
                return run(*args, **kwargs)

        return call

    def _make_callable_from_options(self, *args: Any, **kwargs: Any) -> Callable[..., Any]:
        """TensorFlow's private one, which Keras uses. Each call counts as a step, whatever it runs."""
        run = super()._make_callable_from_options(*args, **kwargs)

        def call(*args: Any, **kwargs: Any) -> Any:
            with self._running(self.gate.step()):
                return run(*args, **kwargs)

        return call

    def close(self) -> None:
        """See ``tf.compat.v1.Session.close``."""
        if not self.sess_str or private_api.is_closed(self):
            super().close()
            return
        if self._is_broken:
            self.wait_until_idle(FAILING_SECS)
        closed: Future[None] = Future()
        threading.Thread(target=self._close, args=(closed,), name="closing", daemon=True).start()
        with self._changed:
            self._changed.wait_for(lambda: closed.done() or self.lost, CLOSING_SECS)
        if closed.done():
            closed.result()
        elif not self.lost:
            self._stays_open = True
            log.warning("the session is not closed after %g s: a task that it reached does not answer", CLOSING_SECS)

    def __del__(self) -> None:
        """As TensorFlow's, in this thread: Python starts no new threads when it ends. A lost session stays open."""
        if not self.lost and not self._stays_open:
            with contextlib.suppress(Exception):
                super().close()
            super().__del__()

    def lose(self, parameter_server: str) -> None:
        """Note which parameter server is lost. The job calls it, in any thread."""
        with self._changed:
            self.lost = parameter_server
            self._changed.notify_all()

    def wait_until_idle(self, timeout_secs: float) -> bool:
        """Wait until no run is under way. Returns False when the time is over before that."""
        self._is_awaited = True
        with self._changed:
            return self._changed.wait_for(lambda: not self._under_way, timeout_secs)

    def _close(self, closed: Future[None]) -> None:
        try:
            super().close()
        except Exception as error:  # noqa: BLE001 - close() raises it
            closed.set_exception(error)
        else:
            closed.set_result(None)
        with self._changed:
            self._changed.notify_all()

    @contextlib.contextmanager
    def _running(self, passage: AbstractContextManager[Any]) -> Iterator[None]:
        """Around every run. ``passage`` is its way through the gate, or past it."""
        try:
            with passage:
                run = object()
                self._under_way.add(run)  # before it looks, as in the gate: so runs that go well take no lock
                try:
                    self._check_lost()
                    yield
                finally:
                    self._under_way.discard(run)
                    if self._is_awaited:
                        with self._changed:
                            self._changed.notify_all()
        except (tf.errors.CancelledError, RuntimeError) as error:
            # The session was closed meanwhile. What closed it is the error to raise.
            self._check_lost(error)
            self.job.is_over()
            raise
        except tf.errors.UnavailableError:
            self._is_broken = True
            raise

    def _check_lost(self, cause: BaseException | None = None) -> None:
        if self.lost:
            raise tf.errors.AbortedError(None, None, f"{self.lost} is lost, and what it held") from cause

    def _passage(self, kind: RunKind) -> AbstractContextManager[None]:
        """How a run without a wait passes the gate: as a step, or not at all."""
        return self.gate.step() if kind.is_step else contextlib.nullcontext()

    def _parted(self, kind: RunKind, wait: SyncWait) -> PartedRun:
        """How a run with a wait passes the gate."""
        if self.gate.is_inside:
            raise UsageError(
                f"within `with gate.step():` a run would wait for {wait.what}, which comes from other tasks; a cut "
                "stops these, so none could ever succeed. Run it outside that block"
            )
        return wait.run(self.gate.step(), begins_inside=kind.begins_inside)


def is_gone(session: v1.Session) -> bool:
    """Whether a session can run nothing any more: it is closed, or has lost a parameter server."""
    return bool(getattr(session, "lost", "")) or private_api.is_closed(session)


@contextlib.contextmanager
def losses_told(session: v1.Session) -> Iterator[None]:
    """Raise the loss of a task in place of the ``UsageError`` for a closed session: the program made no mistake.

    Raises:
        JobError: the session is gone already, or is gone when the block raises ``UsageError``.
    """
    if is_gone(session):
        raise _loss(session)
    try:
        yield
    except UsageError as error:
        if not is_gone(session):
            raise
        raise _loss(session) from error


def _loss(session: v1.Session) -> JobError:
    lost = getattr(session, "lost", "")
    return JobError(
        f"{lost or 'a task'} is lost, and the session with it; exports continue with the next session",
        task=lost or None,
    )
