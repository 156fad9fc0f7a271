"""The contract of a cut, and the cut that stops nobody."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Standstill:
    """What a cut has seen between :meth:`Cut.acquire` and :meth:`Cut.release`: parts of the export's witness.

    Attributes:
        training, epoch, steps, deaths, shut_out: as in :class:`~autodist_saved.report.witness.Witness`.
    """

    training: tuple[str, ...] | None = ()
    epoch: int = 0
    steps: dict[str, int] = field(default_factory=dict)
    deaths: int = 0
    shut_out: tuple[str, ...] = ()


class Cut(ABC):
    """Stops the job's writers between two training steps, and lets them go. There is one object for each export.

    **Who calls it.** The docstring of each cut says which of the two it is:

    - *Chief.* The chief alone makes one and makes all calls. The other tasks stop and go on because of something
      that the cut sends them; their programs know nothing of it. Both cuts of this package are such.
    - *All ranks.* Every rank makes one and makes the same calls, each number as often as all others. Whatever fails
      on one rank, it still calls :meth:`release`: the others wait for it there. What one rank raises, all raise.

    **Order.** The numbers of the calls are their order. :meth:`acquire` comes once and first. :meth:`extend` comes
    once at most, after an ``acquire`` that has returned. :meth:`release` comes last, in every case. The variables are
    read and copied between ``acquire`` and ``release``, and nowhere else.

    **Threads.** All calls come from one thread, which is in no training step. It need not be one that trains. A cut
    may have threads of its own, and let the writers go in one of them; the next call tells by what it raises.

    **Memory and time.** A cut copies nothing, and it is cheap to make: nobody is stopped before ``acquire``.

    :class:`autodist_saved.testing.CutConformance` checks what every cut does.
    """

    @abstractmethod
    def acquire(self) -> None:
        """1. Stop the writers: when this returns, no step is under way, and none begins before :meth:`release`.

        Called by the chief, or by all ranks; see the class. Blocks until all writers have stopped, or the time for
        that is over. Where it raises, whatever it raises, the writers go on by themselves.

        Raises:
            CutTimeoutError: some did not stop in time. The message names them.
            ExportError: another cut of this job is on, and this one does not wait for it.
            UsageError: called within a training step.
        """

    def extend(  # noqa: B027 - most cuts last as long as they are wanted
        self, is_stalled: Callable[[], bool] = lambda: False
    ) -> None:
        """2. From now on keep them stopped until :meth:`release`, as long as streaming advances.

        Called by who has called :meth:`acquire`, where the variables are not copied but streamed from their own
        memory. Does not block.

        Args:
            is_stalled: whether nothing has been streamed for too long. A cut that has threads of its own asks now and
                then. It may then let the writers go, and :meth:`release` raises.

        Raises:
            CutTimeoutError: the writers were let go already.
        """

    @abstractmethod
    def release(self) -> Standstill:
        """3. Let the writers go on. When this returns, or raises, they do.

        Called by who has called :meth:`acquire`: also when something has failed in between, also when ``acquire``
        itself has failed, and perhaps twice. Only the first call after an ``acquire`` that has returned gives an
        answer. All others may raise what is named here; they change nothing for another cut that is on. Does not
        block for longer than letting go takes.

        Returns:
            what was seen. The writers have stood still from :meth:`acquire` to this call, but for those that
            ``training`` names.

        Raises:
            CutTimeoutError: staging took too long, or streaming stalled, and they were let go before.
            InconsistentError: some may have gone on by themselves. The message names them.
        """


class NoCut(Cut):
    """Stops nobody. Right where nobody else trains; otherwise the witness names those who did.

    Called by the chief alone, or by a process without a cluster. No call blocks or raises, and the order of calls is
    up to the caller.
    """

    def __init__(self, training: Callable[[], tuple[str, ...] | None] = tuple) -> None:
        """``training`` tells which other tasks are training at the moment it is called; None if it cannot know."""
        self._training = training
        self._trained: tuple[str, ...] | None = ()

    def acquire(self) -> None:
        # Now, not at the end: a worker that ends meanwhile has written into the copies all the same.
        self._trained = self._training()

    def release(self) -> Standstill:
        return Standstill(self._trained)
