"""What the user wants in one meta graph, and the checks that it fits the graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from autodist_saved import tensorflow_private
from autodist_saved.errors import Problem, SignatureError
from autodist_saved.graph.serving import Serving
from autodist_saved.graph.tensor_infos import tensor_names


@dataclass(frozen=True)
class MetaGraphRequest:
    """One meta graph of a SavedModel, as TensorFlow's builder takes it.

    Attributes:
        graph: the job's graph; it may be finalized, and is only read.
        saver_def: ``SaverDef`` of the saver whose ops restore the variables; None for a model without variables.
        tags: what loaders ask for.
        signatures: ``SignatureDef`` by name.
        assets: constant string tensors that name files the graph reads.
        main_op: run after variables are restored, when a model is loaded.
        train_op: operation or tensor that trains one step.
        clear_devices: remove every device from the graph.
        strip_default_attrs: remove attributes that have their default value.
        serving: what a serving graph is made with; None for the complete graph.
    """

    graph: tf.Graph
    saver_def: Any
    tags: Sequence[str]
    signatures: Mapping[str, Any]
    assets: Sequence[tf.Tensor]
    main_op: tf.Operation | tf.Tensor | None
    train_op: tf.Operation | tf.Tensor | None
    clear_devices: bool
    strip_default_attrs: bool
    serving: Serving | None = None

    def check(self) -> None:
        """Raise ``SignatureError`` with all that does not fit the graph."""
        problems = [*self._problems(), *self._asset_problems(), *self._serving_problems()]
        if problems:
            raise SignatureError("the meta graph cannot be written as asked for", problems=problems)

    def _problems(self) -> Iterator[Problem]:
        graph = self.graph
        if not self.tags or isinstance(self.tags, str):
            yield Problem("tags", f"{self.tags!r} is no list of tags", 'give for instance ["serve"]')
        for name, value in (("main_op", self.main_op), ("train_op", self.train_op)):
            if value is None:
                continue
            if not isinstance(value, tf.Operation | tf.Tensor):
                yield Problem(name, f"{value!r} is neither an operation nor a tensor", "give the op itself")
            elif value.graph is not graph:
                yield Problem(name, f"{value.name!r} belongs to another graph", "take it from the session's graph")
        for key, signature in self.signatures.items():
            for side, infos in (("inputs", signature.inputs), ("outputs", signature.outputs)):
                for argument, info in infos.items():
                    for tensor in tensor_names(info):
                        if not _in_graph(graph, tensor):
                            yield Problem(
                                f"signature {key!r}, {side}[{argument!r}]",
                                f"there is no tensor {tensor!r} in the session's graph",
                                "build the signature from tensors of that graph",
                            )

    def _serving_problems(self) -> Iterator[Problem]:
        if self.serving is None:
            return
        if not self.signatures:
            what = "a serving graph is what its signatures need, and there are none"
            yield Problem("signature_def_map", what, "give signatures, or leave out serving=True")
        if self.train_op is not None:
            what = f"{self.train_op.name!r} is given, and a serving graph cannot train"
            yield Problem("train_op", what, "add it with a meta graph of its own, without serving=True")

    def _asset_problems(self) -> Iterator[Problem]:
        fix = "give constant string tensors that name files, such as tf.constant(path)"
        for number, asset in enumerate(self.assets):
            try:
                path = tensorflow_private.asset_path(asset)
            except TypeError as error:
                yield Problem(f"assets[{number}]", str(error), fix)
                continue
            if not Path(path).is_file():
                yield Problem(f"assets[{number}]", f"there is no file {path!r}", "name a file of this machine")


def make_request(
    graph: tf.Graph,
    saver_def: Any,
    *,
    tags: Sequence[str],
    signature_def_map: Mapping[str, Any] | None,
    assets: Iterable[tf.Tensor] | None,
    main_op: Any,
    train_op: Any,
    clear_devices: bool,
    strip_default_attrs: bool,
    serving: Serving | None = None,
) -> MetaGraphRequest:
    """A request in our own terms out of the builder's arguments."""
    return MetaGraphRequest(
        graph=graph,
        saver_def=saver_def,
        tags=tags,
        signatures=dict(signature_def_map or {}),
        assets=tuple(assets or ()),
        main_op=tensorflow_private.unwrap_resource_assign(main_op),
        train_op=tensorflow_private.unwrap_resource_assign(train_op),
        clear_devices=clear_devices,
        strip_default_attrs=strip_default_attrs,
        serving=serving,
    )


def _in_graph(graph: tf.Graph, name: str) -> bool:
    try:
        graph.as_graph_element(name)
    except (KeyError, ValueError):
        return False
    return True
