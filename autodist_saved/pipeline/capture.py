"""Capturing: the variables of one moment become the files of a bundle.

    connect -> cut -> stage -> release -> stream

Or, where something could not be copied, ``release`` comes after ``stream``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from autodist_saved.bundle.data_file import DataFiles
from autodist_saved.cut.cut import Cut
from autodist_saved.errors import AutodistSavedError, InconsistentError
from autodist_saved.options import ExportOptions
from autodist_saved.pipeline.stream import Streamed, stream
from autodist_saved.plan import ExportPlan
from autodist_saved.report.witness import Witness
from autodist_saved.sources.source import Source, Staged

Phase = Callable[[str], AbstractContextManager[None]]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Captured:
    """What was captured, how, and what was seen of the job meanwhile."""

    staged: Staged
    streamed: Streamed
    witness: Witness


def capture(
    plan: ExportPlan,
    source: Source,
    cut: Cut,
    prefix: str,
    options: ExportOptions,
    *,
    data_files: int = 1,
    sync: bool = False,
    uploads: DataFiles | None = None,
    phase: Phase = lambda _: nullcontext(),
    while_stopped: Callable[[], None] = lambda: None,
) -> Captured:
    """Write every variable of a plan as one dense entry of the bundle ``prefix``, all of one cut.

    The writers are stopped no longer than staging takes, if all of it was copied. Whatever fails, they are let go,
    and nothing stays staged.

    Args:
        plan: of the source, or some variables of it.
        source: where the variables are.
        cut: stops those who write them.
        prefix: of the bundle's files; their directory is there, if the plan has variables.
        options: for staging and streaming.
        data_files, sync, uploads: as in :func:`stream`.
        phase: is entered for each phase, by its name.
        while_stopped: called when the variables are staged, and are what is captured still.

    Raises:
        CutTimeoutError, InconsistentError: it could not be one moment. Nothing of it is visible.
    """
    before: int | None = None
    witnesses: list[Witness] = []
    is_stopped = True

    def go_on() -> None:
        nonlocal is_stopped
        with phase("stage"):
            after = source.global_step()
        with phase("release"):
            seen = cut.release()
        is_stopped = False
        witnesses.append(Witness(seen.training, seen.epoch, seen.steps, seen.deaths, before, after))
        _check(witnesses[-1], options)

    def discard_and_go_on() -> None:
        with phase("discard"):
            source.discard()  # the writers would copy what is still held before they change it
        go_on()

    def streaming(staged: Staged, confirm: Callable[[], None] = lambda: None) -> Streamed:
        with phase("stream"):
            return stream(
                staged.plan,
                source,
                prefix,
                options,
                data_files=data_files,
                sync=sync,
                aside=not staged.parked,
                uploads=uploads,
                confirm=confirm,
            )

    with _discarding(source, phase):
        with phase("connect"):
            source.connect(plan, Path(prefix).parent if uploads is None else None, options)
        try:
            with phase("cut"):
                cut.acquire()
            with phase("stage"):
                before = source.global_step()
                staged = source.stage(plan)
                while_stopped()
            if staged.parked:
                cut.extend()
                streamed = streaming(staged, discard_and_go_on)
            else:
                go_on()
        except BaseException:
            if is_stopped:
                with suppress(AutodistSavedError):  # the first failure is the one to tell
                    cut.release()
            raise
        if not staged.parked:
            streamed = streaming(staged)
    return Captured(staged, streamed, witnesses[-1])


def _check(witness: Witness, options: ExportOptions) -> None:
    if not witness.doubt:
        return
    if options.consistency == "step":
        raise InconsistentError(f"{witness.doubt}; export again")
    log.warning("what was captured may hold values of several steps: %s", witness.doubt)


@contextmanager
def _discarding(source: Source, phase: Phase) -> Iterator[None]:
    """Let go of what is staged; a failure to do so never hides the failure that came first."""
    try:
        yield
    except BaseException:
        try:
            source.discard()
        except Exception as error:  # noqa: BLE001 - whatever it is, the first failure is the one to tell
            log.warning("the staged copies could not be freed: %s", error)
        raise
    with phase("discard"):
        source.discard()
