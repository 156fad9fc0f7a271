"""The saver of a distributed job: TensorFlow's, with the ops that an export needs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.checkpoint.restore import check_is_no_directory
from autodist_saved.checkpoint.restore_errors import DirectoryRestoreError, as_tensorflows
from autodist_saved.checkpoint.saver_session import SaverSession
from autodist_saved.checkpoint.streaming import CheckpointStreams
from autodist_saved.errors import (
    NoVariablesError,
    PlanError,
    RestoreError,
    SaverRequiredError,
    SaverTooLateError,
    UsageError,
)
from autodist_saved.graph.own_ops import export_meta_graph
from autodist_saved.job.job_of import job_of
from autodist_saved.job.sync_waits import put_sync_waits
from autodist_saved.options import ExportOptions
from autodist_saved.sources.plain_session import plain_session
from autodist_saved.sources.restore_ops import RestoreOps, build_restore_ops
from autodist_saved.sources.staging_builder import build_staging_ops, unstageable
from autodist_saved.sources.staging_ops import StagingOps
from autodist_saved.sources.turn import Turn
from autodist_saved.tf_internals import private_api
from autodist_saved.tf_internals.name_scope import own_scope

_PARAMETERS = inspect.signature(v1.train.Saver.__init__)
_EXPORT_PARAMETERS = inspect.signature(v1.train.Saver.export_meta_graph)
_OPTIONS = inspect.Parameter(
    "options", inspect.Parameter.KEYWORD_ONLY, annotation="ExportOptions | None", default=None
)


class Saver(v1.train.Saver):  # type: ignore[misc]
    """A ``tf.compat.v1.train.Saver`` whose variables can be exported by :class:`SavedModelBuilder`.

    It takes the arguments of TensorFlow's saver, in the same order, and works wherever TensorFlow takes a saver
    (``Scaffold``, ``MonitoredTrainingSession``, ``CheckpointSaverHook``). Make it on every task, after the variables
    and the optimizer and before the session. A session's graph is final, so the saver adds the ops that an export
    needs when it is made.

    One argument is new: ``options``, an :class:`~autodist_saved.ExportOptions`, says how :meth:`save` and
    :meth:`restore` stream. Neither reads back what it has written. A builder has options of its own.

    The saver knows partitioned variables and their optimizer slots by their slice info, never by their names.

    Raises:
        SaverTooLateError: the graph is finalized, that is, the session exists.
        NoVariablesError: there is nothing to save, and ``allow_empty`` is not set.
    """

    _staging: StagingOps | None = None
    _restore_ops: RestoreOps | None = None
    _unstageable: tuple[str, ...] = ()
    _variables_when_built = 0
    _data_files = 1

    def __init__(self, *args: Any, options: ExportOptions | None = None, **kwargs: Any) -> None:
        self._options = options or ExportOptions()
        self.turn = Turn()
        try:
            super().__init__(*args, **kwargs)
        except ValueError as error:
            if str(error) != "No variables to save":
                raise
            raise NoVariablesError(
                "No variables to save: make the Saver inside `with graph.as_default():`, after the model's variables"
            ) from None

    __init__.__signature__ = _PARAMETERS.replace(  # type: ignore[attr-defined]
        parameters=[*_PARAMETERS.parameters.values(), _OPTIONS]
    )

    def build(self) -> None:
        """Add the ops to the default graph. Called by the constructor, or by you after ``defer_build=True``.

        Does nothing when it is called again.
        """
        if private_api.is_built(self) and not tf.executing_eagerly():
            return  # a monitored session builds its saver again for each session that it makes, in a final graph
        if self.saver_def is None and not tf.executing_eagerly() and v1.get_default_graph().finalized:
            raise SaverTooLateError(
                "this Saver is made after the session: its graph is final and takes no more ops. Move the line\n"
                "    saver = autodist_saved.Saver()\n"
                "up, behind the optimizer's minimize() and before create_distributed_session(...), on every task"
            )
        super().build()
        if self._staging is None and private_api.knows_its_variables(self):
            with own_scope() as scope:
                saveables = private_api.saveables_of(self)
                self._unstageable = unstageable(saveables)
                if not self._unstageable:
                    self._staging = build_staging_ops(saveables, scope)
                    self._restore_ops = build_restore_ops(saveables)
                    if self.saver_def is not None and self.saver_def.sharded:
                        self._data_files = len({saveable.device for saveable in saveables})
            put_sync_waits(v1.get_default_graph())
            self._variables_when_built = len(v1.global_variables())

    def save(self, sess: v1.Session, save_path: str, *args: Any, **kwargs: Any) -> str | None:
        """TensorFlow's ``save``: the same arguments, files and return value, the path of the checkpoint.

        Each task copies its variables in its own memory and streams the copy to the chief. So the chief needs neither
        memory for the model nor a shared file system. Partitioned variables are whole in the checkpoint. With
        ``sharded=True`` they are whole as well, and there is a data file for each device. The operating system
        flushes the files to the disk, as with TensorFlow.

        In a session of :func:`create_distributed_session` the checkpoint is one moment of the job, as an export is.
        In any other session it stops nobody, and logs a warning where others may have trained on.

        It waits for an export of the same saver, as long as that one advances. If nothing of it has moved for
        ``options.cut_timeout_secs``, because its disk does not answer for instance, the checkpoint goes on.

        Raises:
            CutTimeoutError, InconsistentError: the checkpoint could not be one moment; nothing was written.
            UsageError: called on a worker of such a job, or within a training step.
        """
        path: str | None = super().save(self._streamed(sess), save_path, *args, **kwargs)
        return path

    save.__signature__ = inspect.signature(v1.train.Saver.save)  # type: ignore[attr-defined]

    def restore(self, sess: v1.Session, save_path: str) -> None:
        """TensorFlow's ``restore``, streamed, onto whatever partitioning the variables have now.

        Takes checkpoints of this saver and of TensorFlow's, and ``variables/variables`` of a SavedModel.

        On the chief of a job all workers stand still meanwhile, so that no step falls between two variables. In a
        session that is not of :func:`create_distributed_session` nobody is stopped.

        Raises:
            CutTimeoutError: not all workers came to the end of their steps within
                ``SessionOptions.start_timeout_secs``; nothing was changed.
            UsageError: called on a worker, for variables of the job.
            RestoreError: variables are missing in the checkpoint, or differ. The error names all of them; nothing was
                changed. Or ``save_path`` is a directory. It is also TensorFlow's error: ``NotFoundError`` where
                variables are missing, ``DataLossError`` for a directory, else ``InvalidArgumentError``.
            BundleError: its files are damaged; nothing was changed.
            ValueError: there is no such checkpoint.
        """
        try:
            check_is_no_directory(save_path)
        except RestoreError as error:
            raise DirectoryRestoreError(error) from None
        streamed, restore_here = self._streamed(sess), super().restore
        try:
            job_of(sess).at_rest(lambda: restore_here(streamed, save_path), tasks=self._tasks())
        except RestoreError as error:
            # Within, TensorFlow would take it for its own and word it anew.
            raise as_tensorflows(error) from None

    def export_meta_graph(self, filename: str | None = None, *args: Any, **kwargs: Any) -> Any:
        """TensorFlow's ``export_meta_graph``: the same arguments and return value, a ``MetaGraphDef``.

        It leaves out the ops that this saver has added to the default graph for exports.
        """
        bound = _EXPORT_PARAMETERS.bind(self, filename, *args, **kwargs)
        arguments = {name: value for name, value in bound.arguments.items() if name != "self"}
        return export_meta_graph(v1.get_default_graph(), saver_def=self.saver_def, **arguments)

    export_meta_graph.__signature__ = _EXPORT_PARAMETERS  # type: ignore[attr-defined]

    def _streamed(self, sess: Any) -> Any:
        """The session, with TensorFlow's saving and restoring replaced by streams where these can do it."""
        if hasattr(sess, "run_step_fn") or hasattr(sess, "raw_session"):
            sess = plain_session(sess)
        staging, restore_ops = self._staging, self._restore_ops
        if staging is None or restore_ops is None or not self._can_stream(staging, sess):
            return sess
        names = self.saver_def.save_tensor_name, self.saver_def.restore_op_name
        stock = (partial(self._run_stock, sess, name) for name in names)
        streams = CheckpointStreams(sess, staging, restore_ops, self.turn, self._options, self._data_files, *stock)
        replaced: dict[str, Callable[[str], str | None]] = {}
        if self.saver_def.version == self.saver_def.V2:
            replaced[names[0]] = streams.save
        if not private_api.reshapes(self):
            replaced[names[1]] = streams.restore
        return SaverSession(sess, self.saver_def.filename_tensor_name, replaced)

    def _can_stream(self, staging: StagingOps, sess: Any) -> bool:
        """Whether our ops are the session's, and say all of what TensorFlow's would; if not, these run."""
        if self.saver_def is None or not isinstance(sess, private_api.SessionInterface):
            return False
        if sess.graph is not staging.stage.graph:
            return False
        try:
            staging.plan  # noqa: B018 - it may raise
        except PlanError:  # for instance some slices of a variable without the others
            return False
        return True

    def _tasks(self) -> frozenset[str]:
        """The tasks that hold the variables, as far as that is known."""
        try:
            return frozenset() if self._staging is None else frozenset(self._staging.plan.tasks())
        except PlanError:
            return frozenset()

    def _run_stock(self, sess: Any, name: str, prefix: str) -> Any:
        return sess.run(name, {self.saver_def.filename_tensor_name: prefix})

    @staticmethod
    def from_proto(saver_def: Any, import_scope: str | None = None) -> Saver:
        """A saver of ops that are in the graph already, as TensorFlow's. It cannot be exported by a builder.

        Args:
            saver_def: ``SaverDef`` of a built saver.
            import_scope: the name scope that its ops were imported into.
        """
        return Saver(saver_def=saver_def, name=import_scope)

    @property
    def staging(self) -> StagingOps:
        """The ops that an export of this saver's variables runs. Raises ``UsageError`` when there are none."""
        if self._unstageable:
            raise UsageError(
                f"no copy can be made of {', '.join(self._unstageable)}: handles and quantized reference variables; "
                "leave them out of the saver's var_list"
            )
        if self._staging is None:
            raise UsageError(
                "this Saver has no ops for an export: it was made in eager mode, or from a SaverDef, or with "
                "defer_build=True and build() was not called before the session; make one with Saver() instead"
            )
        return self._staging

    def staging_in(self, graph: tf.Graph) -> StagingOps:
        """:attr:`staging` for a session of this graph; a ``UsageError`` if the saver was made in another one."""
        if self.staging.stage.graph is not graph:
            raise UsageError(
                "the saver was made in another graph than the one to be exported; make it in that graph, after its "
                "variables and before its session"
            )
        return self.staging

    def variables_made_later(self) -> tuple[str, ...]:
        """Names of the graph's variables that were made after this saver, and that it therefore cannot save."""
        variables = self.staging.stage.graph.get_collection(v1.GraphKeys.GLOBAL_VARIABLES)
        return tuple(variable.op.name for variable in variables[self._variables_when_built :])


def required_saver(saver: object) -> Saver:
    """The same saver. Raises ``SaverRequiredError`` where it is not an :class:`Saver`."""
    if isinstance(saver, Saver):
        return saver
    stock = "tf.compat.v1.train.Saver" if isinstance(saver, v1.train.Saver) else type(saver).__name__
    found = "no saver was given" if saver is None else f"a {stock} is not an autodist_saved.Saver"
    raise SaverRequiredError(
        f"{found}. The variables are on the parameter servers, and the ops that fetch them have to be in the graph "
        "before the session makes it final. These three lines are needed, in this order:\n"
        "    saver = autodist_saved.Saver()\n"
        "    with autodist_saved.create_distributed_session(cluster, saver=saver) as sess:\n"
        "        builder.add_meta_graph_and_variables(sess, tags, ..., saver=saver)"
    )
