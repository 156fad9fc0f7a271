"""A signature that draws random numbers gives another answer each time: mostly dropout that was left on."""

from __future__ import annotations

import logging

import tensorflow.compat.v1 as v1
from tensorflow.core.protobuf import meta_graph_pb2

from autodist_saved.graph.body import node_of
from autodist_saved.graph.reach import Reach, Spot, all_ops, is_for_users
from autodist_saved.graph.tensor_infos import tensor_names

log = logging.getLogger(__name__)

RANDOM_OPS = frozenset(
    {
        "FixedUnigramCandidateSampler",
        "LearnedUnigramCandidateSampler",
        "LogUniformCandidateSampler",
        "Multinomial",
        "ParameterizedTruncatedNormal",
        "RandomCrop",
        "RandomGamma",
        "RandomPoisson",
        "RandomPoissonV2",
        "RandomShuffle",
        "RandomStandardNormal",
        "RandomUniform",
        "RandomUniformInt",
        "RngReadAndSkip",
        "SampleDistortedBoundingBox",
        "SampleDistortedBoundingBoxV2",
        "StatefulRandomBinomial",
        "StatefulStandardNormal",
        "StatefulStandardNormalV2",
        "StatefulTruncatedNormal",
        "StatefulUniform",
        "StatefulUniformFullInt",
        "StatefulUniformInt",
        "ThreadUnsafeUnigramCandidateSampler",
        "TruncatedNormal",
        "UniformCandidateSampler",
    }
)
"""Types of ops that give other values whenever they run. Those that are handed a seed each time are none."""

# What can turn dropout off when the model is asked.
_SWITCHES = frozenset({"Case", "If", "PlaceholderWithDefault", "RefSwitch", "StatelessCase", "StatelessIf", "Switch"})
_SHOWN = 3


def warn_of_random_ops(meta_graph: meta_graph_pb2.MetaGraphDef) -> None:
    """Log which signatures reach random ops. A graph that is tagged for training may, and is passed over."""
    if v1.saved_model.tag_constants.TRAINING in meta_graph.meta_info_def.tags:
        return
    random = [(spot, node.op) for spot, node in all_ops(meta_graph.graph_def) if node.op in RANDOM_OPS]
    if not random:
        return
    reach = Reach(meta_graph.graph_def)
    switches = {spot for spot, node in all_ops(meta_graph.graph_def) if node.op in _SWITCHES}
    found, switched = list[str](), list[str]()
    for key in filter(is_for_users, sorted(meta_graph.signature_def)):
        signature = meta_graph.signature_def[key]
        reached = reach.of_signature(signature)
        if ops := [f"{spot} ({op})" for spot, op in random if spot in reached]:
            more = f" and {len(ops) - _SHOWN} more" if len(ops) > _SHOWN else ""
            inputs = {Spot(node_of(name)) for info in signature.inputs.values() for name in tensor_names(info)}
            told = found if switches.isdisjoint(reached | inputs) else switched
            told.append(f"signature {key!r} reaches {', '.join(ops[:_SHOWN])}{more}")
    if found:
        log.warning(
            "the model gives another answer each time it is asked, because %s; if that is dropout, build the "
            "signatures from a graph in which it is off",
            "; ".join(found),
        )
    if switched:
        log.warning(
            "the model may give another answer each time it is asked, unless its inputs turn that off, because %s; "
            "if that is dropout, see that it is off by default",
            "; ".join(switched),
        )
