"""What a meta graph is made from and how, and whether all of it fits the graph."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.errors import Problem, SignatureError
from autodist_saved.graph.arguments.examples import Examples, example_problems
from autodist_saved.graph.arguments.extra_files import ExtraFiles, extra_file_problems
from autodist_saved.graph.arguments.warmup import WARMUP_FILE, warmup_problems
from autodist_saved.graph.assets import asset_problems
from autodist_saved.graph.graph_def.devices import DEVICES, Devices
from autodist_saved.graph.graph_def.signature_defs import tensor_names
from autodist_saved.graph.serving.serving_graph import Serving
from autodist_saved.graph.tables import MAIN_OP_COLLECTIONS


@dataclass(frozen=True)
class MetaGraphRequest:
    """One meta graph of a SavedModel, in our own terms. ``pipeline/request_from_arguments.py`` makes it.

    Attributes:
        graph: the job's graph; it may be finalized, and is only read.
        saver: its ops restore the variables. Where it is None, the copy of the graph gets a saver of its own.
        tags: loaders ask for the meta graph by them.
        signatures: ``SignatureDef`` by name.
        assets_collection: constant string tensors with the paths of files that the graph reads; for a collection.
        assets_list: the same, for a collection and for ``asset_file_def``.
        main_op: loaders run it after they have restored the variables; for a collection.
        init_op: the same, for a collection and for a reserved signature.
        train_op: operation or tensor that trains one step.
        clear_devices: which devices to remove from the graph.
        strip_default_attrs: remove attributes that have their default value.
        assets_extra: files for ``assets.extra/``.
        warmup: requests that TensorFlow Serving runs when it loads the model, by signature.
        examples: inputs with which the model is verified, by signature.
        serving: what a serving graph is made from; None for the complete graph.
        known_problems: problems found before; :meth:`check` raises them with its own.
    """

    graph: tf.Graph
    saver: v1.train.Saver | None
    tags: Sequence[str]
    signatures: Mapping[str, Any] = field(default_factory=dict)
    assets_collection: Sequence[tf.Tensor] = ()
    assets_list: Sequence[tf.Tensor] = ()
    main_op: tf.Operation | tf.Tensor | None = None
    init_op: tf.Operation | tf.Tensor | None = None
    train_op: tf.Operation | tf.Tensor | None = None
    clear_devices: Devices = True
    strip_default_attrs: bool = False
    assets_extra: ExtraFiles = field(default_factory=dict)
    warmup: Examples = field(default_factory=dict)
    examples: Examples = field(default_factory=dict)
    serving: Serving | None = None
    known_problems: Sequence[Problem] = ()

    @property
    def assets(self) -> Sequence[tf.Tensor]:
        """The asset tensors, in whichever form they were given."""
        return self.assets_list or self.assets_collection

    @property
    def load_op(self) -> tf.Operation | tf.Tensor | None:
        """The op that loaders run, in whichever form it was given."""
        return self.main_op if self.init_op is None else self.init_op

    def check(self, taken_files: Collection[str] = ()) -> None:
        """Check that everything fits the graph and each other.

        Args:
            taken_files: paths that other meta graphs have taken in ``assets.extra/``.

        Raises:
            SignatureError: something does not; all problems at once.
        """
        warmup_file = [WARMUP_FILE] if self.warmup else []
        problems = [
            *self.known_problems,
            *self._problems(),
            *self._saver_problems(),
            *self._form_problems(),
            *asset_problems("assets_list" if self.assets_list else "assets_collection", self.assets),
            *self._serving_problems(),
            *extra_file_problems(self.assets_extra, [*taken_files, *warmup_file]),
            *extra_file_problems(dict.fromkeys(warmup_file, b""), taken_files),
            *warmup_problems(self.warmup, self.signatures),
            *example_problems("examples", self.examples, self.signatures),
        ]
        if problems:
            raise SignatureError("the meta graph cannot be written as asked for", problems=problems)

    def _problems(self) -> Iterator[Problem]:
        graph = self.graph
        if self.clear_devices not in DEVICES:
            yield Problem(
                "clear_devices",
                f"{self.clear_devices!r} is none of {', '.join(map(repr, DEVICES))}",
                "clear all devices (True), only job, replica and task ('cluster'), or none (False)",
            )
        for name in ("main_op", "init_op", "train_op"):
            value = getattr(self, name)
            if value is None:
                continue
            if not isinstance(value, tf.Operation | tf.Tensor):
                yield Problem(name, f"{value!r} is neither an operation nor a tensor", "give the op itself")
            elif value.graph is not graph:
                yield Problem(
                    name, f"{value.name!r} belongs to another graph", "take it from the graph that is added"
                )
        for key, signature in self.signatures.items():
            for side, infos in (("inputs", signature.inputs), ("outputs", signature.outputs)):
                for argument, info in infos.items():
                    for tensor in tensor_names(info):
                        if not _in_graph(graph, tensor):
                            yield Problem(
                                f"signature {key!r}, {side}[{argument!r}]",
                                f"there is no tensor {tensor!r} in the graph that is added",
                                "build the signature from tensors of that graph",
                            )

    def _saver_problems(self) -> Iterator[Problem]:
        if self.saver is None:
            if self.graph.get_collection(v1.GraphKeys.SAVEABLE_OBJECTS):
                yield Problem(
                    "saver",
                    "without one, loaders restore only variables, and the graph has tables or other saveable objects",
                    "make a saver in that graph, before its session, and give it",
                )
        elif not isinstance(self.saver, v1.train.Saver):
            yield Problem("saver", f"{self.saver!r} is not a saver", "give an autodist_saved.Saver")
        elif self.saver.saver_def and not _in_graph(self.graph, self.saver.saver_def.restore_op_name):
            yield Problem("saver", "it was made in another graph", "make one in the graph that is added")

    def _form_problems(self) -> Iterator[Problem]:
        """Yield contradictions: between TensorFlow's two forms of an argument, or with the graph's collections."""
        if self.main_op is not None and self.init_op is not None and self.main_op is not self.init_op:
            yield Problem("init_op", "it differs from main_op, and loaders run only one", "give one of the two")
        if (
            self.assets_collection
            and self.assets_list
            and {*map(id, self.assets_collection)} != {*map(id, self.assets_list)}
        ):
            yield Problem("assets_list", "it differs from assets_collection", "give one of the two")
        if self.main_op is None:
            return
        for key in MAIN_OP_COLLECTIONS:
            if any(op is not self.main_op for op in self.graph.get_collection(key)):
                what = f"Graph already contains one or more main ops under the collection {key}"
                fix = "give no main_op, and loaders run that one; or clear the collection before the session"
                yield Problem("main_op", what, fix)

    def _serving_problems(self) -> Iterator[Problem]:
        if self.serving is None:
            return
        if not self.signatures:
            what = "a serving graph has what its signatures need, and there are no signatures"
            yield Problem("signature_def_map", what, "give signatures, or leave out serving=True")
        if self.train_op is not None:
            what = f"{self.train_op.name!r} is given, and a serving graph cannot train"
            yield Problem("train_op", what, "add it with a meta graph of its own, without serving=True")


def _in_graph(graph: tf.Graph, name: str) -> bool:
    try:
        graph.as_graph_element(name)
    except (KeyError, ValueError):
        return False
    return True
