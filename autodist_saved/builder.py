"""The builder of a distributed job's SavedModel, in the form that TensorFlow's and AutoDist's users know."""

from __future__ import annotations

import functools
import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.cluster import Cluster
from autodist_saved.errors import ImageFormatError, UsageError
from autodist_saved.graph.arguments.examples import Examples
from autodist_saved.graph.arguments.extra_files import ExtraFiles
from autodist_saved.graph.arguments.signature_map import check_built
from autodist_saved.graph.graph_def.devices import Devices
from autodist_saved.graph.meta_graph_builder import GraphDescription
from autodist_saved.graph.saved_model import SavedModelGraphs
from autodist_saved.job.job_of import is_certainly_chief, job_of
from autodist_saved.options import ExportOptions
from autodist_saved.pipeline.export import Export, check_target
from autodist_saved.pipeline.moving_averages import MovingAverages
from autodist_saved.pipeline.request_from_arguments import MetaGraphArguments, request_from_arguments
from autodist_saved.pipeline.serving_variables import FirstMetaGraph
from autodist_saved.publish.best import BestBy
from autodist_saved.publish.target import Target
from autodist_saved.publish.target_factory import target_at
from autodist_saved.report.report import ExportReport, Mode
from autodist_saved.saver import Saver, required_saver
from autodist_saved.sources.plain_session import plain_session
from autodist_saved.verification.live_session import LiveSession

log = logging.getLogger(__name__)


class SavedModelBuilder(v1.saved_model.Builder):  # type: ignore[misc]
    """A ``tf.compat.v1.saved_model.Builder`` for variables that live on parameter servers.

    Call it on every task. The chief collects the variables and writes the model. Every other task does nothing,
    touches no file and gets None. The chief is, in this order: what ``cluster`` says; what the session's cluster
    says; what ``TF_CONFIG`` says; the process itself, where there is no cluster.

    The builder only reads the live graph, which may be finalized. The directory appears with :meth:`save`, as a
    whole or not at all.
    """

    def __init__(
        self,
        export_dir: str | os.PathLike[str] | Target,
        *,
        cluster: Cluster | None = None,
        options: ExportOptions | None = None,
        metrics: Mapping[str, float] | None = None,
        metric_modes: Mapping[str, Mode] | None = None,
    ) -> None:
        """Writes nothing.

        Args:
            export_dir: directory of the model; must be absent or empty. Or a URL in an object store, such as
                ``s3://bucket/model``. Or a target, such as :class:`VersionedTarget`.
            cluster: says which task is the chief, where the session does not.
            options: how the export works.
            metrics: how good the model is: finite numbers by name. The manifest keeps them.
            metric_modes: by name of a metric, whether its greatest (``max``) or its least (``min``) value is best.

        Raises:
            UsageError: a metric is not finite, a mode is neither of the two, or the library for this kind of object
                store is not installed.
            TargetExistsError: there is something in ``export_dir``.
            TargetUnwritableError: ``export_dir`` cannot be made, or the object store allows no writing there.
            TargetError: the object store cannot be reached, or has no such bucket.
            UsageError: the options ask for ``verify="full"``, and ``export_dir`` is in an object store.

        Every task raises the first of these errors. Only the chief raises the others. Where only the session knows
        the chief, :meth:`add_meta_graph_and_variables` raises them.
        """
        # TensorFlow's constructor is not called: it makes the directory, which must not appear before the commit.
        self._cluster = cluster
        self._options = options or ExportOptions()
        self._metrics = dict(metrics or {})
        self._metric_modes = {name: BestBy(name, mode=mode).mode for name, mode in (metric_modes or {}).items()}
        if infinite := [name for name, value in self._metrics.items() if not math.isfinite(value)]:
            raise UsageError(f"the metrics {', '.join(infinite)} are not finite; leave them out")
        self._target = export_dir if isinstance(export_dir, Target) else target_at(export_dir)
        self._export_dir = export_dir  # TensorFlow's builder has it
        self._graphs = SavedModelGraphs()
        self._export: Export | None = None
        self._bystander: ExportReport | None = None
        self._saver: Saver | None = None
        self._refused: str | None = None
        if is_certainly_chief(self._cluster):
            check_target(self._target, self._options)

    @property
    def report(self) -> ExportReport:
        """What has happened so far. Raises ``UsageError`` before the first call of an ``add_`` method."""
        if self._bystander is not None:
            return self._bystander
        if self._export is None:
            raise UsageError("there is no report before add_meta_graph_and_variables()")
        return self._export.report

    # TensorFlow's builder has the attributes that follow. Subclasses of it, and their tests, read them.

    @property
    def _has_saved_variables(self) -> bool:
        return self._export is not None and self._export.is_staged

    @property
    def _saved_model(self) -> Any:
        """The ``SavedModel`` so far. On a task that does not export it is empty."""
        return (self._graphs if self._export is None else self._export.graphs).proto

    @property
    def _saved_asset_files(self) -> set[bytes]:
        """Paths of the files in ``assets/`` so far, below the export directory as it was given."""
        assets = () if self._export is None else self._export.assets
        return {self._below_given_dir(path) for path in assets}

    def add_meta_graph_and_variables(
        self,
        sess: v1.Session | v1.train.MonitoredSession,
        tags: Sequence[str],
        signature_def_map: Mapping[str, Any] | None = None,
        assets_collection: Iterable[tf.Tensor] | None = None,
        legacy_init_op: tf.Operation | None = None,
        clear_devices: Devices = True,
        main_op: tf.Operation | None = None,
        strip_default_attrs: bool = False,
        saver: Saver | None = None,
        train_op: tf.Operation | tf.Tensor | None = None,
        *,
        assets_list: Iterable[tf.Tensor] | None = None,
        init_op: tf.Operation | tf.Tensor | None = None,
        assets_extra: ExtraFiles | None = None,
        warmup: Examples | None = None,
        examples: Examples | None = None,
        serving: bool = False,
        moving_averages: MovingAverages | None = None,
    ) -> None:
        """Save the variables of ``sess`` and the first meta graph on them. Called once.

        Takes the arguments of TensorFlow's public builder and those of its internal one.

        Args:
            sess: a session of :func:`create_distributed_session`, a monitored or a plain one.
            tags: loaders ask for a meta graph by its tags, such as ``["serve"]``.
            signature_def_map: ``SignatureDef`` by name.
            assets_collection: constant string tensors that hold the paths of files which the graph reads.
            legacy_init_op: an old name of ``main_op``; ignored where both are given.
            clear_devices: True removes every device from the graph and its functions, so that one machine can run
                it. ``"cluster"`` removes job, replica and task, and keeps for instance ``/device:CPU:0``. False
                removes nothing.
            main_op: loaders run it after they have restored the variables; it is in the collection
                ``saved_model_main_op``.
            strip_default_attrs: remove attributes that have their default value.
            saver: made before the session; it says which variables are saved.
            train_op: trains one step. It is in the collection ``saved_model_train_op`` and in the signature
                ``__saved_model_train_op``. An operation, a tensor, or what ``assign_add`` returns.
            assets_list: ``assets_collection``, written as ``asset_file_def`` as well.
            init_op: ``main_op``, written as the signature ``__saved_model_init_op`` as well.
            assets_extra: files that the graph does not read. By path below ``assets.extra/`` the file to copy, as in
                ``tf.estimator``'s ``export_saved_model``, or its contents as bytes.
            warmup: at most 1000 requests that TensorFlow Serving runs before it serves. By signature a list of
                dictionaries with an array for each input. Classifications and regressions take serialized
                ``tf.train.Example``. Needs ``pip install 'autodist-saved[serving]'``.
            examples: inputs with which ``ExportOptions(verify="full")`` calls signatures, in the form of ``warmup``.
                For a signature without examples, inputs are made up: zeros for whole numbers, else numbers between 0
                and 1. Unknown dimensions become 1.
            serving: cut the graph at its signatures, and save only the variables that these need: no slots of
                optimizers, and no ``global_step``. Each partitioned variable becomes one variable of the graph.
            moving_averages: give the variables of a serving graph the values of their averages. An
                ``ExponentialMovingAverage``, or names of averages by names of variables. A variable without an
                average keeps its own value.

        Raises:
            SaverRequiredError: there is no ``saver``, or it is not an ``autodist_saved.Saver``.
            SignatureError: signatures, ops or files do not fit the graph or each other, or the graph cannot be
                served; all problems at once. It is a ``ValueError`` and a ``TypeError``.
            GraphError: plain TensorFlow could not load the graph: it has ops of other libraries, is over 2 GB, or
                names tasks of the cluster where devices are cleared. Or the signatures of a serving graph need what
                the model does not have, such as a placeholder that is no input. All problems at once.
            BindingError: averages are not saved, or differ from their variables in shape or type; all of them.
            AssertionError, KeyError: signatures are incomplete or use a reserved name; TensorFlow raises the same.
            TargetExistsError, TargetUnwritableError: the export directory cannot take the model.
            PlanError, JobError, ExportError: the job could not be exported. Nothing is left behind.
        """
        if self._export is not None and self._export.is_staged:
            raise AssertionError(
                "Graph state including variables and assets has already been saved. Please invoke "
                "`add_meta_graph()` instead."
            )
        arguments = MetaGraphArguments(
            tags=tags,
            signature_def_map=signature_def_map,
            assets_collection=assets_collection,
            legacy_init_op=legacy_init_op,
            clear_devices=clear_devices,
            main_op=main_op,
            strip_default_attrs=strip_default_attrs,
            train_op=train_op,
            assets_list=assets_list,
            init_op=init_op,
            assets_extra=assets_extra,
            warmup=warmup,
            examples=examples,
            serving=serving,
            moving_averages=moving_averages,
        )
        saver = required_saver(saver)
        cluster = self._cluster or job_of(sess).cluster
        if not self._stand_by(cluster):
            self._capture(plain_session(sess), cluster, saver, arguments)

    def add_meta_graph(
        self,
        tags: Sequence[str],
        signature_def_map: Mapping[str, Any] | None = None,
        assets_collection: Iterable[tf.Tensor] | None = None,
        legacy_init_op: tf.Operation | None = None,
        clear_devices: Devices = True,
        main_op: tf.Operation | None = None,
        strip_default_attrs: bool = False,
        saver: v1.train.Saver | None = None,
        *,
        assets_list: Iterable[tf.Tensor] | None = None,
        init_op: tf.Operation | tf.Tensor | None = None,
        train_op: tf.Operation | tf.Tensor | None = None,
        assets_extra: ExtraFiles | None = None,
        warmup: Examples | None = None,
        examples: Examples | None = None,
        serving: bool = False,
        moving_averages: MovingAverages | None = None,
    ) -> None:
        """Add the default graph as another meta graph on the same variables.

        Arguments and errors are those of :meth:`add_meta_graph_and_variables`.

        Args:
            saver: one of the default graph. Without it this is the first call's, if that is of this graph; else one
                for all variables is made in the copy of the graph. A serving graph needs an ``autodist_saved.Saver``.

        Raises:
            BindingError: the graph restores variables that were not captured, or that were captured with another
                shape or type, or as averages. All of them; nothing was written.
        """
        if self._bystander is not None:
            return
        export = self._started_export()
        with self._noting_refusal(f"add_meta_graph({tags!r})"):
            arguments = MetaGraphArguments(
                tags=tags,
                signature_def_map=signature_def_map,
                assets_collection=assets_collection,
                legacy_init_op=legacy_init_op,
                clear_devices=clear_devices,
                main_op=main_op,
                strip_default_attrs=strip_default_attrs,
                train_op=train_op,
                assets_list=assets_list,
                init_op=init_op,
                assets_extra=assets_extra,
                warmup=warmup,
                examples=examples,
                serving=serving,
                moving_averages=moving_averages,
            )
            if tf.executing_eagerly():
                raise UsageError("there is no default graph to add; call it inside `with graph.as_default():`")
            graph = v1.get_default_graph()
            self._add(export, graph, saver or self._saver_of(graph), arguments)

    def add_meta_graph_from(
        self,
        build_fn: Callable[[], Mapping[str, Any]],
        tags: Sequence[str],
        *,
        clear_devices: Devices = True,
        strip_default_attrs: bool = False,
        assets_extra: ExtraFiles | None = None,
        warmup: Examples | None = None,
        examples: Examples | None = None,
        moving_averages: MovingAverages | None = None,
    ) -> None:
        """Add a serving graph that you build, on the variables of the same names.

        Call it after :meth:`add_meta_graph_and_variables`, for a graph that differs from the training graph: one
        without dropout, for instance. It is cut at its signatures.

        Args:
            build_fn: called with a fresh graph as the default graph. It builds variables of the names, shapes and
                types that the job's variables have when they are whole, and returns ``SignatureDef`` by name. The
                builder takes files from the collection ``tf.compat.v1.GraphKeys.ASSET_FILEPATHS`` and a main op from
                ``saved_model_main_op``. Tables are filled without a main op.
            tags, clear_devices, strip_default_attrs, assets_extra, warmup, examples, moving_averages: as in
                :meth:`add_meta_graph_and_variables`.

        Raises:
            BindingError: variables were not captured, or with another shape or type; all of them.
            SignatureError, AssertionError, KeyError: as in :meth:`add_meta_graph_and_variables`.
        """
        if self._bystander is not None:
            return
        export = self._started_export()
        with self._noting_refusal(f"add_meta_graph_from(..., {tags!r})"), tf.Graph().as_default() as graph:
            signatures = build_fn()
            check_built(signatures)
            main_ops = graph.get_collection(v1.saved_model.constants.MAIN_OP_KEY)
            arguments = MetaGraphArguments(
                tags,
                signatures,
                assets_collection=graph.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
                main_op=main_ops[0] if main_ops else None,
                clear_devices=clear_devices,
                strip_default_attrs=strip_default_attrs,
                assets_extra=assets_extra,
                warmup=warmup,
                examples=examples,
                serving=True,
                moving_averages=moving_averages,
            )
            self._add(export, graph, Saver(allow_empty=True), arguments)

    def save(
        self,
        as_text: bool = False,
        experimental_image_format: bool = False,
        experimental_image_writer_options: object = None,  # noqa: ARG002 - TensorFlow's signature
    ) -> bytes | None:
        """Verify what was written and make it visible.

        Args:
            as_text: write ``saved_model.pbtxt``, for people, instead of ``saved_model.pb``.
            experimental_image_format: write the graphs in chunks. TensorFlow's packages lack the part that does it,
                so their own builder refuses it as well. Ignored with ``as_text``.
            experimental_image_writer_options: for that format.

        Returns:
            the path of that file below the export directory as it was given, as bytes, as TensorFlow's builder does;
            None on every task but the chief.

        Raises:
            UsageError: nothing was added, adding has failed, or the model is saved already. Or the last meta graph
                was refused, and no other was added after it: a program that goes on after an error should not publish
                a model that lacks a meta graph. TensorFlow's builder writes it.
            ImageFormatError: ``experimental_image_format`` was asked for. It is a ``RuntimeError``.
            VerifyError: what was written does not read back, or does not answer as the job does.
            TargetExistsError, TargetUnwritableError: the target was taken meanwhile, or cannot be written.

        After an error nothing is visible, and nothing is left behind.
        """
        if self._bystander is not None:
            return None
        if self._export is None:
            raise UsageError("nothing was added: call add_meta_graph_and_variables() before save()")
        is_due = self._export.is_staged and self._export.report.path is None
        if is_due and (error := self._unsaved(experimental_image_format and not as_text)) is not None:
            self.abandon()
            raise error
        path = self._export.publish(as_text=as_text)
        if isinstance(self._export_dir, str | bytes | os.PathLike):
            return self._below_given_dir(path.rpartition("/")[2])
        return os.fsencode(path)

    def abandon(self) -> None:
        """Remove what was written, if the model is not saved. Harmless when called again, and without a model."""
        if self._export is not None:
            self._export.abandon()

    def _below_given_dir(self, path: str) -> bytes:
        is_path = isinstance(self._export_dir, str | bytes | os.PathLike)
        directory: Any = self._export_dir if is_path else self._target.path
        joined: bytes = tf.io.gfile.join(os.fsencode(directory), os.fsencode(path))
        return joined

    def _unsaved(self, in_chunks: bool) -> UsageError | None:
        """Why what is staged is not to be saved."""
        if self._refused is not None:
            return UsageError(
                f"a meta graph is missing: {self._refused}; catch that error, and add the meta graph corrected, or "
                "another one, before save(); or make a builder anew, without it"
            )
        if in_chunks:
            return ImageFormatError(
                "No proto_splitter is provided, cannot use experimental_image_format. TensorFlow's distributions "
                "have none; leave it out"
            )
        return None

    @contextmanager
    def _noting_refusal(self, call: str) -> Iterator[None]:
        """Whatever is raised within leaves out a meta graph that the program has asked for."""
        try:
            yield
        except Exception as error:
            self._refused = f"{call} has raised {type(error).__name__}"
            raise
        self._refused = None

    def _capture(self, session: v1.Session, cluster: Cluster, saver: Saver, arguments: MetaGraphArguments) -> None:
        """Save the variables of a plain session and the first meta graph on them, on the chief."""
        job = job_of(session)
        staging = saver.staging_in(session.graph)
        source = job.source(session, staging, saver.turn)
        description = GraphDescription(request_from_arguments(session.graph, saver, staging, arguments))
        if late := saver.variables_made_later():
            log.warning(
                "the model has no values for %s, made after the saver; make the saver after all variables, the "
                "optimizer's too",
                ", ".join(late),
            )
        cut, live = job.cut_for(self._options), None
        if self._options.verify == "full":
            live = LiveSession(session, description.signatures, self._options.cut_timeout_secs)
        task = str(cluster.task or cluster.chief)
        self._export = Export(task, self._target, self._options, job.history, self._metrics, self._metric_modes)
        self._export.capture(description, source, cut, live)
        self._saver = saver

    def _add(
        self, export: Export, graph: tf.Graph, saver: v1.train.Saver | None, arguments: MetaGraphArguments
    ) -> None:
        """Add a later meta graph, on the variables of the first."""
        staging = saver.staging if arguments.serving and isinstance(saver, Saver) else None
        first = None if self._saver is None else FirstMetaGraph(self._saver.staging, export.report.plan)
        export.add(GraphDescription(request_from_arguments(graph, saver, staging, arguments, first)))

    def _saver_of(self, graph: tf.Graph) -> Saver | None:
        """The saver of the first call, if it is one of this graph."""
        return self._saver if self._saver is not None and self._saver.staging.stage.graph is graph else None

    def _started_export(self) -> Export:
        if self._export is None:
            raise AssertionError(
                "Graph state including variables and assets has not been saved yet. Please invoke "
                "`add_meta_graph_and_variables()` first."
            )
        return self._export

    def _stand_by(self, cluster: Cluster) -> bool:
        if cluster.is_chief:
            return False
        self._bystander = ExportReport(
            str(cluster.task), note=f"{cluster.chief} is the chief and exports; {cluster.task} does nothing"
        )
        _tell_once(self._bystander.note)
        return True


@functools.cache
def _tell_once(note: str) -> None:
    """Once a process: a hundred exports need not say a hundred times who exports."""
    log.info(note)
