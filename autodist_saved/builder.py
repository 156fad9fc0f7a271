"""The builder of a distributed job's SavedModel, in the form that TensorFlow's and AutoDist's users know."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as v1
from google.protobuf import text_format
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from autodist_saved import tensorflow_private
from autodist_saved.cluster import Cluster
from autodist_saved.cut.none import NoCut
from autodist_saved.errors import SaverRequiredError, UsageError
from autodist_saved.export import Export
from autodist_saved.foreign import translated
from autodist_saved.graph.describe import describe
from autodist_saved.graph.request import MetaGraphRequest, make_request
from autodist_saved.options import ExportOptions
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.publish.local import LocalTarget
from autodist_saved.report import ExportReport
from autodist_saved.saver import Saver
from autodist_saved.session import DistributedSession
from autodist_saved.sources.session import SessionSource, plain_session
from autodist_saved.sources.staging import SCOPES_COLLECTION

log = logging.getLogger(__name__)


class SavedModelBuilder(v1.saved_model.Builder):  # type: ignore[misc]
    """A ``tf.compat.v1.saved_model.Builder`` for variables that live on parameter servers.

    Call it on every task. The chief collects the variables and writes; every other task does nothing, touches no
    file and gets None. The chief is, in this order: what ``cluster`` says; what the session's cluster says; what
    ``TF_CONFIG`` says; the process itself, where there is no cluster.

    The live graph may be finalized and is only read. The directory appears with :meth:`save`, whole, or not at all.
    """

    def __init__(
        self,
        export_dir: str | os.PathLike[str],
        *,
        cluster: Cluster | None = None,
        options: ExportOptions | None = None,
    ) -> None:
        """Writes nothing.

        Args:
            export_dir: directory of the model; must be absent or empty.
            cluster: decides who is the chief, where the session does not tell.
            options: how the export works.

        Raises:
            TargetExistsError: there is something in ``export_dir`` (chief only).
            TargetUnwritableError: ``export_dir`` cannot be made (chief only).
        """
        # TensorFlow's constructor makes the directory, which is exactly what must not happen before the commit.
        self._saved_model = saved_model_pb2.SavedModel()
        self._saved_model.saved_model_schema_version = v1.saved_model.constants.SAVED_MODEL_SCHEMA_VERSION
        self._export_dir = os.fspath(export_dir)
        self._cluster = cluster
        self._options = options or ExportOptions()
        self._target = LocalTarget(self._export_dir)
        self._export: Export | None = None
        self._bystander: ExportReport | None = None
        if _cluster_of(None, cluster).is_chief:
            self._target.check()

    @property
    def report(self) -> ExportReport:
        """What has happened so far. Raises ``UsageError`` before the first call of an ``add_`` method."""
        if self._bystander is not None:
            return self._bystander
        if self._export is None:
            raise UsageError("there is no report before add_meta_graph_and_variables()")
        return self._export.report

    def add_meta_graph_and_variables(
        self,
        sess: v1.Session | v1.train.MonitoredSession,
        tags: Sequence[str],
        signature_def_map: Mapping[str, Any] | None = None,
        assets_collection: Iterable[tf.Tensor] | None = None,
        legacy_init_op: tf.Operation | None = None,
        clear_devices: bool = True,
        main_op: tf.Operation | None = None,
        strip_default_attrs: bool = False,
        saver: Saver | None = None,
        train_op: tf.Operation | tf.Tensor | None = None,
    ) -> None:
        """Save the variables of ``sess`` and the first meta graph on them. Called once.

        Args:
            sess: a session of :func:`create_distributed_session`, a monitored or a plain one.
            tags: what loaders ask for, such as ``["serve"]``.
            signature_def_map: ``SignatureDef`` by name.
            assets_collection: constant string tensors that name files the graph reads.
            legacy_init_op: another name of ``main_op``.
            clear_devices: remove every device from the graph, so that one machine can run it.
            main_op: run after the variables are restored, whenever the model is loaded.
            strip_default_attrs: remove attributes that have their default value.
            saver: made before the session; it says which variables are saved.
            train_op: trains one step; loaders find it in the collection ``saved_model_train_op`` and in the
                signature ``__saved_model_train_op``.

        Raises:
            SaverRequiredError: there is no ``saver``, or it is not an ``autodist_saved.Saver``.
            SignatureError: signatures or ops do not fit the graph; all problems at once.
            AssertionError, KeyError: signatures are incomplete or use a reserved name, as in TensorFlow.
            TargetExistsError, TargetUnwritableError: the export directory cannot take the model.
            PlanError, JobError, ExportError: see :meth:`Export.capture`. Nothing is left behind.
        """
        if not isinstance(saver, Saver):
            raise SaverRequiredError(_saver_required(saver))
        cluster = _cluster_of(sess, self._cluster)
        if self._stand_by(cluster):
            return
        if self._export is not None:
            raise AssertionError(
                "Graph state including variables and assets has already been saved. Please invoke "
                "`add_meta_graph()` instead."
            )
        request = self._request(
            sess.graph,
            tags=tags,
            signature_def_map=signature_def_map,
            assets=assets_collection,
            main_op=main_op or legacy_init_op,
            train_op=train_op,
            clear_devices=clear_devices,
            strip_default_attrs=strip_default_attrs,
        )
        meta_graph, assets = self._describe(sess.graph, request, saver)
        training = sess.workers_training if isinstance(sess, DistributedSession) else tuple
        export = Export(str(cluster.task or cluster.chief), self._target, self._options)
        export.capture(SessionSource(plain_session(sess), saver.staging), NoCut(training))
        export.copy_assets(assets)
        self._saved_model.meta_graphs.append(meta_graph)
        self._export = export

    def add_meta_graph(
        self,
        tags: Sequence[str],
        signature_def_map: Mapping[str, Any] | None = None,
        assets_collection: Iterable[tf.Tensor] | None = None,
        legacy_init_op: tf.Operation | None = None,
        clear_devices: bool = True,
        main_op: tf.Operation | None = None,
        strip_default_attrs: bool = False,
        saver: Saver | None = None,
    ) -> None:
        """Add the default graph as another meta graph on the same variables. Arguments and errors as above."""
        if not isinstance(saver, Saver):
            raise SaverRequiredError(_saver_required(saver))
        if self._bystander is not None:
            return
        if self._export is None:
            raise AssertionError(
                "Graph state including variables and assets has not been saved yet. Please invoke "
                "`add_meta_graph_and_variables()` first."
            )
        graph = v1.get_default_graph()
        request = self._request(
            graph,
            tags=tags,
            signature_def_map=signature_def_map,
            assets=assets_collection,
            main_op=main_op if main_op is not None else legacy_init_op,
            train_op=None,
            clear_devices=clear_devices,
            strip_default_attrs=strip_default_attrs,
        )
        meta_graph, assets = self._describe(graph, request, saver)
        self._export.copy_assets(assets)
        self._saved_model.meta_graphs.append(meta_graph)

    def save(self, as_text: bool = False) -> bytes | None:
        """Verify what was written and make it visible.

        Args:
            as_text: write ``saved_model.pbtxt``, for people, instead of ``saved_model.pb``.

        Returns:
            the path of that file, as TensorFlow's builder does; None on every task but the chief.

        Raises:
            UsageError: nothing was added, or the model is visible already.
            VerifyError, TargetExistsError, TargetUnwritableError: see :meth:`Export.publish`. Nothing is visible.
        """
        if self._bystander is not None:
            return None
        if self._export is None:
            raise UsageError("nothing was added: call add_meta_graph_and_variables() before save()")
        if self._export.report.path is not None:
            raise UsageError(f"this model is saved already, as {self._export.report.path}; make another builder")

        def write_graphs(files: SavedModelFiles) -> None:
            if as_text:
                files.saved_model_text.write_text(text_format.MessageToString(self._saved_model))
            else:
                files.saved_model.write_bytes(self._saved_model.SerializeToString(deterministic=True))

        published = SavedModelFiles(Path(self._target.path))
        self._export.publish(write_graphs)
        return os.fsencode(published.saved_model_text if as_text else published.saved_model)

    def _request(self, graph: tf.Graph, **arguments: Any) -> MetaGraphRequest:
        tensorflow_private.validate_signatures(self, arguments["signature_def_map"] or {})
        request = make_request(**arguments)
        request.check(graph)
        return request

    def _describe(
        self, graph: tf.Graph, request: MetaGraphRequest, saver: Saver
    ) -> tuple[meta_graph_pb2.MetaGraphDef, dict[bytes, bytes]]:
        with translated("describe"):
            return describe(graph, saver.saver_def, request, SCOPES_COLLECTION)

    def _stand_by(self, cluster: Cluster) -> bool:
        if cluster.is_chief:
            return False
        self._bystander = ExportReport(
            str(cluster.task), note=f"{cluster.chief} is the chief and exports; {cluster.task} does nothing"
        )
        log.info(self._bystander.note)
        return True


def _cluster_of(sess: Any, given: Cluster | None) -> Cluster:
    if given is not None:
        return given
    return sess.cluster if isinstance(sess, DistributedSession) else Cluster.from_tf_config()


def _saver_required(saver: object) -> str:
    found = "no saver was given" if saver is None else f"{type(saver).__name__} is not an autodist_saved.Saver"
    return (
        f"{found}. The variables are on the parameter servers, and the ops that fetch them have to be in the graph "
        "before the session makes it final. These three lines are needed, in this order:\n"
        "    saver = autodist_saved.Saver()\n"
        "    with autodist_saved.create_distributed_session(cluster, saver=saver) as sess:\n"
        "        builder.add_meta_graph_and_variables(sess, tags, ..., saver=saver)"
    )
