"""Signatures that draw random numbers, and so answer differently each time. Mostly dropout was left on."""

from __future__ import annotations

import logging

from autodist_saved.graph.checks.runs import Runs, first_of
from autodist_saved.graph.graph_def.reach import Spot, all_ops
from autodist_saved.graph.graph_def.signature_defs import names_in
from autodist_saved.tf_internals.graph_walk import node_of
from autodist_saved.tf_internals.op_types import BRANCHES, RANDOM, SWITCHES

log = logging.getLogger(__name__)

# They can turn dropout off while the model is asked.
_CAN_TURN_OFF = BRANCHES | SWITCHES | {"PlaceholderWithDefault"}


def warn_of_random_ops(runs: Runs) -> None:
    """Log which signatures reach random ops. A graph with the tag for training may have such signatures."""
    if runs.are_for_training:
        return
    graph_def = runs.meta_graph.graph_def
    random = [(spot, node.op) for spot, node in all_ops(graph_def) if node.op in RANDOM]
    if not random:
        return
    switches = {spot for spot, node in all_ops(graph_def) if node.op in _CAN_TURN_OFF}
    always, perhaps = list[str](), list[str]()
    for key in runs.user_keys:
        reached = runs.of_signature(key)
        if ops := [f"{spot} ({op})" for spot, op in random if spot in reached]:
            inputs = {Spot(node_of(name)) for name in names_in(runs.meta_graph.signature_def[key].inputs)}
            logged = always if switches.isdisjoint(reached | inputs) else perhaps
            logged.append(f"signature {key!r} reaches {first_of(ops)}")
    if always:
        log.warning(
            "the model answers differently each time, because %s; if that is dropout, build the signatures from a "
            "graph in which it is off",
            "; ".join(always),
        )
    if perhaps:
        log.warning(
            "the model may answer differently each time, unless its inputs turn that off, because %s; if that is "
            "dropout, make sure that it is off by default",
            "; ".join(perhaps),
        )
