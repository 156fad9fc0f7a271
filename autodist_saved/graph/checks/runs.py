"""What a loaded model is run for: its signatures, its main op, its train op."""

from __future__ import annotations

from tensorflow.core.protobuf import meta_graph_pb2

from autodist_saved.graph.reach import Reach, Spot, is_for_users
from autodist_saved.graph.tables import collected_main_ops
from autodist_saved.tf_internals import private_api

Runs = dict[str, set[Spot]]
"""What each run reaches, by what people call it."""

MAIN_OP = "main_op"
TRAIN_OP = "train_op"


def runs_of_users(meta_graph: meta_graph_pb2.MetaGraphDef) -> Runs:
    """What each signature reaches that users ask."""
    reach = Reach(meta_graph.graph_def)
    keys = filter(is_for_users, sorted(meta_graph.signature_def))
    return {f"signature {key!r}": reach.of_signature(meta_graph.signature_def[key]) for key in keys}


def run_when_loaded(meta_graph: meta_graph_pb2.MetaGraphDef) -> set[Spot]:
    """What the main op reaches."""
    return Reach(meta_graph.graph_def).of(collected_main_ops(meta_graph))


def run_to_train(meta_graph: meta_graph_pb2.MetaGraphDef) -> set[Spot]:
    """What the train op reaches."""
    train_ops = meta_graph.collection_def.get(private_api.TRAIN_OP_KEY)
    return set() if train_ops is None else Reach(meta_graph.graph_def).of(train_ops.node_list.value)


def named(names: list[str], shown: int = 5) -> str:
    """The first of some names, and how many there are more."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return f"{', '.join(map(repr, names[:shown]))}{more}"
