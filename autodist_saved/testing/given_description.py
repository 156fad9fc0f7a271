"""The double of a description: a meta graph that is there already."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tensorflow.core.protobuf import meta_graph_pb2

from autodist_saved.errors import SignatureError
from autodist_saved.graph.arguments.examples import Examples
from autodist_saved.graph.arguments.extra_files import ExtraFiles, extra_file_problems
from autodist_saved.graph.description import Description, MetaGraph
from autodist_saved.graph.restore_spec import RestoreSpec


class GivenDescription(Description):
    """Describes a ``MetaGraphDef`` as it is. Tests of a pipeline need no live graph with it."""

    def __init__(
        self,
        proto: meta_graph_pb2.MetaGraphDef | None = None,
        *,
        tags: Sequence[str] = ("serve",),
        restored: Sequence[RestoreSpec] = (),
        serving: bool = False,
        extra_files: ExtraFiles | None = None,
        examples: Examples | None = None,
    ) -> None:
        """Describe a copy of ``proto``, by default an empty one. Other arguments are as in :class:`MetaGraph`."""
        self._proto = meta_graph_pb2.MetaGraphDef()
        if proto is not None:
            self._proto.CopyFrom(proto)
        self._proto.meta_info_def.tags[:] = tags
        self._restored = tuple(restored)
        self._serving = serving
        self._extra_files = dict(extra_files or {})
        self._examples = dict(examples or {})

    @property
    def tags(self) -> Sequence[str]:
        return tuple(self._proto.meta_info_def.tags)

    @property
    def signatures(self) -> Mapping[str, Any]:
        return dict(self._proto.signature_def)

    @property
    def examples(self) -> Examples:
        return self._examples

    def describe(self, taken_extra_files: Collection[str] = ()) -> MetaGraph:
        problems = list(extra_file_problems(self._extra_files, taken_extra_files))
        if problems:
            raise SignatureError("the meta graph cannot be written as asked for", problems=problems)
        proto = meta_graph_pb2.MetaGraphDef()
        proto.CopyFrom(self._proto)
        return MetaGraph(proto, extra_files=self._extra_files, restored=self._restored, serving=self._serving)
