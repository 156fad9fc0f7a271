"""The one pipeline that every export walks, from whatever front door.

    plan -> describe -> open -> connect -> cut -> stage -> release -> stream -> graphs -> verify -> commit

:meth:`Export.capture` goes from ``plan`` to ``stream`` and :meth:`Export.publish` from ``graphs`` to ``commit``;
between the two a front door may add further meta graphs on the same variables. Planning and describing only read, so
that what is wrong with them is refused before the job is touched.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from autodist_saved.cut.cut import Cut
from autodist_saved.errors import UsageError
from autodist_saved.graph.checks.check import check
from autodist_saved.graph.description import Description, MetaGraph
from autodist_saved.graph.saved_model import SavedModelGraphs
from autodist_saved.options import ExportOptions
from autodist_saved.pipeline.capture import Capture
from autodist_saved.pipeline.meta_graph_files import MetaGraphFiles
from autodist_saved.pipeline.stream import BundleDestination
from autodist_saved.pipeline.variable_matching import check_captured, check_slices, plan_of
from autodist_saved.plan import ExportPlan
from autodist_saved.publish.checksums import file_sums
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.publish.manifest import write_manifest
from autodist_saved.publish.read_back import read_back
from autodist_saved.publish.target import Target
from autodist_saved.report.export_history import ExportHistory
from autodist_saved.report.report import Destination, ExportReport, Mode
from autodist_saved.report.report_builder import ReportBuilder
from autodist_saved.sources.source import Source
from autodist_saved.system.error_translation import translated
from autodist_saved.tf_internals import private_api
from autodist_saved.verification.live_model import LiveModel
from autodist_saved.verification.verification import Verification

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """What an export is to write: the variables, planned, and the first meta graph on them, checked."""

    plan: ExportPlan
    meta_graph: MetaGraph


def check_target(target: Target, options: ExportOptions) -> None:
    """Refuse a target that cannot take a model as the options want it. Leaves nothing behind.

    Raises:
        UsageError: ``verify="full"`` has nothing to load there.
        TargetError: as the target's own ``check``.
    """
    if options.verify == "full" and not target.grows_on_disk:
        raise UsageError(
            "verify='full' loads the model from a directory before it is visible, and there is none for "
            f"{target.path}; export with verify='checksums'"
        )
    target.check()


class Export:
    """One export on the chief. Whatever fails, nothing is visible and nothing is left behind."""

    def __init__(
        self,
        task: str,
        target: Target,
        options: ExportOptions,
        history: ExportHistory | None = None,
        metrics: Mapping[str, float] | None = None,
        metric_modes: Mapping[str, Mode] | None = None,
    ) -> None:
        """Touches no file.

        Args:
            task: the chief's name for reports.
            target: where the model is to be.
            options: how to export.
            history: of the job; notes how this export goes.
            metrics: of the model, by name; finite.
            metric_modes: which of their values are better, by name.
        """
        self._history = history or ExportHistory()
        self._number = self._history.begin(target.path)
        self._target = target
        self._options = options
        self._files: SavedModelFiles | None = None
        self._meta_graph_files = MetaGraphFiles()
        destination = Destination(type(target).__name__, target.path)
        self._record = ReportBuilder(task, destination, metrics or {}, metric_modes or {})
        self._plan: ExportPlan | None = None
        self._verification = Verification(options) if options.verify == "full" else None

    @property
    def report(self) -> ExportReport:
        """What has happened so far."""
        return self._record.report

    @property
    def is_staged(self) -> bool:
        """Whether there is a model, visible or not: it was captured and nothing has failed."""
        return self._files is not None

    @property
    def graphs(self) -> SavedModelGraphs:
        """The meta graphs so far."""
        return self._meta_graph_files.graphs

    @property
    def assets(self) -> list[str]:
        """Paths in the model of the files in ``assets/`` so far, sorted."""
        return sorted(path for path in self._meta_graph_files.sums if path.startswith("assets/"))

    def prepare(self, description: Description, source: Source) -> Prepared:
        """What :meth:`capture` does first. Touches neither the job nor the target.

        Raises:
            TargetError, UsageError: as :func:`check_target`.
            PlanError, SignatureError, GraphError, BindingError: what is asked for is wrong.
        """
        with self._phase("plan"):
            check_target(self._target, self._options)
            plan = source.plan()
        meta_graph = self._describe(description)
        if meta_graph.serving:
            plan = plan_of(meta_graph.restored, plan)
        check_slices(meta_graph.restored, plan)
        return Prepared(plan, meta_graph)

    def capture(self, description: Description, source: Source, cut: Cut, live: LiveModel | None = None) -> None:
        """Stage the variables in one cut, stream them into the target's draft, and add a meta graph on them.

        Args:
            description: of the meta graph.
            source: where the variables are.
            cut: stops those who write them.
            live: the job's model, which ``verify="full"`` asks for its answers.

        Raises:
            PlanError, SignatureError, GraphError, BindingError: what is asked for is wrong; nothing was touched.
            TargetError: the target cannot take a model; nothing was touched, or all is removed again.
            JobError, ExportError: the job failed meanwhile; all is removed again.
        """
        prepared = self.prepare(description, source)
        plan, meta_graph = prepared.plan, prepared.meta_graph
        while_stopped = _nothing
        if self._verification is not None:
            while_stopped = self._verification.ask_job
            with self._phase("ask"):
                self._verification.add(description, meta_graph, live)
        log.info("exporting %d variables, %d bytes, to %s", len(plan.variables), plan.nbytes, self._target.path)
        with self._phase("open"):
            self._files = files = self._target.open(self._record.task)
        with self._all_or_nothing():
            if plan.variables:
                with self._phase("open"):
                    files.variables.mkdir()
            capture = Capture(plan, source, cut, self._options, phase=self._phase, while_stopped=while_stopped)
            captured = capture.run(BundleDestination(files.variables_prefix, sync=True, uploads=files.uploads))
            with self._phase("stream"):
                self._meta_graph_files.add(meta_graph, files)
        self._plan = captured.staged.plan
        self._record.note(
            plan=captured.staged.plan,
            witness=captured.witness,
            nbytes=captured.streamed.nbytes,
            transport=captured.streamed.ways,
            staging=dict(captured.staged.ways),
            memory=dict(captured.staged.memory),
        )

    def add(self, description: Description) -> None:
        """Add another meta graph on the captured variables. Raises as :meth:`capture` does."""
        files = self._staged_files()
        meta_graph = self._describe(description)
        if self._plan is not None:
            check_captured(meta_graph.restored, self._plan, saver_given=meta_graph.names_its_variables)
        if self._meta_graph_files.has(description.tags):
            log.warning(
                "nobody will be able to load this meta graph: an earlier one has its tags, %s, and loaders take the "
                "first; give it tags of its own",
                ", ".join(map(repr, description.tags)) or "none",
            )
        with self._all_or_nothing(), self._phase("stream"):
            self._meta_graph_files.add(meta_graph, files)
        if self._verification is not None:
            self._verification.add(description, meta_graph)

    def publish(self, *, as_text: bool = False) -> str:
        """Verify all that is staged and make it visible, all at once.

        Args:
            as_text: write the graphs as text, for people.

        Returns:
            the path of the file that holds the graphs.

        Raises:
            VerifyError: what was written does not read back, or does not answer as the job does.
            TargetExistsError: somebody else has put something at the target meanwhile.
            TargetUnwritableError: the target could not be written.
        """
        files = self._staged_files()
        private_api.count_save()
        with self._all_or_nothing():
            with self._phase("graphs"):
                self._meta_graph_files.write(files, as_text=as_text)
                self._target.complete()
            if self._options.verify != "none":
                self._verify(files)
            self._record.note(verified=self._options.verify)
            with self._phase("commit"):
                # The manifest goes along with the model: it knows neither where that is nor how long the commit took.
                self._record.note(files=file_sums(files))
                self._record.note_memory()
                write_manifest(files, self.report)
                path = self._target.commit()
        private_api.count_saved_model()
        self._record.path = path
        self._history.note(self._number, path=path)
        log.info("%s", self.report)
        log.debug("%s", "\n".join(f"{name}: {fact}" for name, fact in self.report.facts()))
        return f"{path}/{(files.saved_model_text if as_text else files.saved_model).name}"

    def abandon(self) -> None:
        """Remove what this export has staged, if it is not visible. May be called again."""
        if self._files is not None and self._record.path is None:
            self._target.abandon()
            self._files = None

    def _verify(self, files: SavedModelFiles) -> None:
        with self._phase("verify"):
            if self._plan is not None:
                read_back(files, self._plan, self._meta_graph_files.sums)
            if self._verification is not None:
                self._record.note(answers=self._verification.check(files.root))

    def _describe(self, description: Description) -> MetaGraph:
        with self._phase("describe"):
            meta_graph = description.describe(self._meta_graph_files.extra_files)
            check(
                meta_graph.proto,
                devices_cleared=meta_graph.devices_cleared,
                serving=meta_graph.serving,
                beside_bytes=self._meta_graph_files.nbytes,
                custom_ops=self._options.custom_ops,
            )
        return meta_graph

    def _staged_files(self) -> SavedModelFiles:
        if self._record.path is not None:
            raise UsageError(f"this model is saved already, as {self._record.path}; make another builder")
        if self._files is None:
            raise UsageError("this export has failed, and what was staged is removed; make another builder")
        return self._files

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.abandon()
            raise

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        self._history.note(self._number, phase=name)
        try:
            with self._record.stopwatch.phase(name), translated(name):
                yield
        except BaseException as error:
            self._history.note(self._number, error=f"{type(error).__name__}: {error}")
            raise


def _nothing() -> None:
    """What an export does while the writers stand still, besides staging, where nobody asks for more."""
