"""What a job's saver says of the variables of a serving graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autodist_saved.errors import Problem
from autodist_saved.graph.folding.region import Holder, Region
from autodist_saved.graph.serving.serving_graph import Serving
from autodist_saved.pipeline.moving_averages import MovingAverages, averages_by_variable
from autodist_saved.plan import ExportPlan
from autodist_saved.sources.staging_ops import StagedPiece, StagingOps


@dataclass(frozen=True)
class FirstMetaGraph:
    """The meta graph whose variables are captured, as later ones on the same variables need it.

    Attributes:
        staging: of its saver.
        plan: what is captured.
    """

    staging: StagingOps
    plan: ExportPlan | None


def serving_of(
    staging: StagingOps, moving_averages: MovingAverages | None, first: FirstMetaGraph | None = None
) -> tuple[Serving, Sequence[Problem]]:
    """What a serving graph is made with, and what is wrong with its averages.

    Args:
        staging: of the saver in the serving graph.
        moving_averages: the averages whose values variables are to have, or their names by those of the variables.
        first: the meta graph whose variables are captured already; None where they are captured for this graph.
    """
    averages, problems = averages_by_variable(moving_averages, staging if first is None else first.staging)
    captured = None if first is None else first.plan
    variables = () if captured is None else captured.variables
    keys = None if captured is None else {variable.value: variable.name for variable in variables}
    slices = {
        variable.name: tuple(one.slice for one in variable.slices()) for variable in variables if variable.in_slices
    }
    return Serving(_holders(staging), averages, keys, slices), problems


def _holders(staging: StagingOps) -> tuple[Holder, ...]:
    return tuple(
        Holder(piece.node, piece.name, _region(piece) if piece.is_slice else None)
        for piece in staging.pieces
        if piece.node is not None
    )


def _region(piece: StagedPiece) -> Region:
    return Region(piece.name, piece.dtype, piece.full_shape or (), piece.offset, piece.shape or ())
