"""What a loaded model is run for: its signatures, its main op, its train op."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import tensorflow.compat.v1 as v1
from tensorflow.core.protobuf import meta_graph_pb2

from autodist_saved.graph.graph_def.reach import Reach, Spot
from autodist_saved.graph.graph_def.signature_defs import is_for_users
from autodist_saved.graph.tables import collected_main_ops
from autodist_saved.tf_internals import private_api
from autodist_saved.tf_internals.graph_walk import Node

MAIN_OP = "main_op"
TRAIN_OP = "train_op"


class Runs:
    """What each run of a loaded model reaches. All checks of one graph share it, so that each walk happens once.

    Attributes:
        meta_graph: as it will be written.
        body: the nodes of its graph.
    """

    def __init__(self, meta_graph: meta_graph_pb2.MetaGraphDef) -> None:
        self.meta_graph = meta_graph
        self._reach = Reach(meta_graph.graph_def)
        self.body = self._reach.body
        self._of_signatures: dict[str, set[Spot]] = {}

    @property
    def are_for_training(self) -> bool:
        """Whether the graph is tagged for training."""
        return v1.saved_model.tag_constants.TRAINING in self.meta_graph.meta_info_def.tags

    @property
    def user_keys(self) -> list[str]:
        """Names of the signatures that users call, sorted."""
        return sorted(filter(is_for_users, self.meta_graph.signature_def))

    @property
    def of_users(self) -> Mapping[str, set[Spot]]:
        """What users' signatures reach, by what problems call them."""
        return {f"signature {key!r}": self.of_signature(key) for key in self.user_keys}

    @cached_property
    def when_loaded(self) -> set[Spot]:
        """What the main op reaches."""
        return self._reach.of(collected_main_ops(self.meta_graph))

    @cached_property
    def to_train(self) -> set[Spot]:
        """What the train op reaches."""
        train_ops = self.meta_graph.collection_def.get(private_api.TRAIN_OP_KEY)
        return set() if train_ops is None else self._reach.of(train_ops.node_list.value)

    def of_signature(self, key: str) -> set[Spot]:
        """What a signature reaches."""
        if key not in self._of_signatures:
            self._of_signatures[key] = self._reach.of_signature(self.meta_graph.signature_def[key])
        return self._of_signatures[key]

    def nodes(self, reached: set[Spot]) -> Iterator[Node]:
        """Yield the nodes of the graph itself that a run reaches, without those inside functions."""
        return (self.body.nodes[spot.op] for spot in reached if not spot.function)


def first_of(texts: Sequence[str], shown: int = 3) -> str:
    """The first texts, and the number of the others."""
    more = f" and {len(texts) - shown} more" if len(texts) > shown else ""
    return f"{', '.join(texts[:shown])}{more}"


def named(names: Sequence[str]) -> str:
    """The first names, quoted, and the number of the others."""
    return first_of([repr(name) for name in names], shown=5)
