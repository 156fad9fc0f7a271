"""``saved_model.pb``: collects meta graphs, and serializes them."""

from __future__ import annotations

from collections.abc import Iterable

import tensorflow.compat.v1 as v1
from google.protobuf import text_format
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from autodist_saved.graph.checks.size import nbytes_of


class SavedModelGraphs:
    """The meta graphs of one SavedModel.

    Attributes:
        proto: the ``SavedModel`` so far.
    """

    def __init__(self) -> None:
        self.proto = saved_model_pb2.SavedModel()
        self.proto.saved_model_schema_version = v1.saved_model.constants.SAVED_MODEL_SCHEMA_VERSION

    @property
    def nbytes(self) -> int:
        """Serialized bytes of the meta graphs so far."""
        return sum(map(nbytes_of, self.proto.meta_graphs))

    def has(self, tags: Iterable[str]) -> bool:
        """Whether a meta graph has exactly these tags. Loaders would never find a second one with the same tags."""
        return any(set(one.meta_info_def.tags) == set(tags) for one in self.proto.meta_graphs)

    def add(self, meta_graph: meta_graph_pb2.MetaGraphDef) -> None:
        """Add a meta graph. No other one has its tags."""
        self.proto.meta_graphs.append(meta_graph)

    def serialize(self, *, as_text: bool) -> bytes:
        """The contents of ``saved_model.pb``, or of ``saved_model.pbtxt``. Equal graphs give equal bytes."""
        if as_text:
            return text_format.MessageToString(self.proto).encode()
        serialized: bytes = self.proto.SerializeToString(deterministic=True)
        return serialized


def binary_form(text: bytes) -> bytes:
    """Convert the contents of ``saved_model.pbtxt`` into those of ``saved_model.pb``.

    Raises:
        ValueError: the text is not a SavedModel's.
    """
    try:
        proto = text_format.Parse(text, saved_model_pb2.SavedModel())
    except (text_format.ParseError, RecursionError) as error:
        raise ValueError(str(error)) from error
    serialized: bytes = proto.SerializeToString(deterministic=True)
    return serialized
