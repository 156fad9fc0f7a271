"""The one pipeline that every export walks, from whatever front door.

    plan -> cut -> stage -> release -> stream -> describe -> verify -> commit

:meth:`Export.capture` goes from ``plan`` to ``stream``; the front door describes its meta graphs, since it may
want several of them on the same variables; :meth:`Export.publish` goes from ``verify`` to ``commit``.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from autodist_saved.cut.cut import Cut, Witness
from autodist_saved.foreign import translated
from autodist_saved.options import ExportOptions
from autodist_saved.plan import ExportPlan
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.publish.target import Target
from autodist_saved.publish.verify import verify
from autodist_saved.report import ExportReport
from autodist_saved.sources.source import Source
from autodist_saved.stream import stream

log = logging.getLogger(__name__)


class Export:
    """One export on the chief. Whatever fails, nothing is visible and nothing is left behind."""

    def __init__(self, task: str, target: Target, options: ExportOptions) -> None:
        """Touches no file. ``task`` is the chief's name for reports."""
        self._target = target
        self._options = options
        self._files: SavedModelFiles | None = None
        self._seconds: dict[str, float] = {}
        self._report = ExportReport(task)

    @property
    def report(self) -> ExportReport:
        """What has happened so far."""
        return replace(self._report, seconds=dict(self._seconds))

    def capture(self, source: Source, cut: Cut) -> None:
        """Stage the variables in one cut and stream them into the target's staging place.

        Raises:
            PlanError: the variables cannot be exported; nothing was touched.
            TargetError: the target cannot take a model; nothing was touched, or all is removed again.
            JobError, ExportError: the job failed meanwhile; all is removed again.
        """
        with self._phase("plan"):
            plan = source.plan()
            self._target.check()
        with self._all_or_nothing():
            try:
                plan, witness = self._staged(source, cut)
                with self._phase("stream"):
                    self._files = self._target.open()
                    nbytes = self._stream(plan, source, self._files)
            finally:
                with self._phase("discard"):
                    source.discard()
            self._report = replace(self._report, plan=plan, witness=witness, nbytes=nbytes)
        if not witness.consistent:
            log.warning(
                "the model may hold values of several steps: %s trained on while it was staged, and the global step "
                "went from %s to %s; stop the workers before exporting, for instance with wait_for_workers()",
                ", ".join(witness.training) or "somebody",
                witness.global_step_before,
                witness.global_step_after,
            )

    def copy_assets(self, assets: Mapping[bytes, bytes]) -> None:
        """Copy asset files into the staged model: source path by file name."""
        files = self._staged_files()
        with self._phase("describe"), self._all_or_nothing():
            for name, origin in assets.items():
                files.assets.mkdir(exist_ok=True)
                shutil.copyfile(origin.decode(), files.assets / name.decode())

    def publish(self, write_graphs: Callable[[SavedModelFiles], None]) -> ExportReport:
        """Write the graphs, verify all that is staged, and make it visible with one rename.

        Args:
            write_graphs: writes ``saved_model.pb`` or ``.pbtxt``, after everything else is in place.

        Raises:
            VerifyError: what was written does not read back.
            TargetExistsError: somebody else has put something at the target meanwhile.
            TargetUnwritableError: the target could not be written.
        """
        files = self._staged_files()
        with self._all_or_nothing():
            with self._phase("verify"):
                if self._options.verify == "checksums" and self._report.plan is not None:
                    verify(files, self._report.plan)
            with self._phase("commit"):
                # The manifest is part of what is committed, so it cannot tell how long the commit took.
                published = replace(self.report, path=self._target.path)
                files.manifest.parent.mkdir(parents=True, exist_ok=True)
                files.manifest.write_text(published.to_json())
                write_graphs(files)
                self._target.commit()
        self._report = replace(self._report, path=self._target.path)
        log.info("exported %d bytes to %s", self._report.nbytes, self._target.path)
        return self.report

    def _staged(self, source: Source, cut: Cut) -> tuple[ExportPlan, Witness]:
        with self._phase("cut"):
            training = cut.acquire()
        try:
            with self._phase("stage"):
                before = source.global_step()
                plan = source.stage()
                after = source.global_step()
        finally:
            with self._phase("release"):
                cut.release()
        return plan, Witness(training, before, after)

    def _stream(self, plan: ExportPlan, source: Source, files: SavedModelFiles) -> int:
        if not plan.variables:
            return 0
        files.variables.mkdir()
        return stream(
            plan,
            source,
            files.variables_prefix,
            chunk_bytes=self._options.chunk_bytes,
            memory_budget_bytes=self._options.memory_budget_bytes,
        )

    def _staged_files(self) -> SavedModelFiles:
        if self._files is None:
            raise RuntimeError("capture() comes first")
        return self._files

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._target.abandon()
            self._files = None
            raise

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        with translated(name):
            yield
        self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - began
