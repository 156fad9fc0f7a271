"""An export without its effects: what is wrong with one is found before a job trains for days."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import tensorflow.compat.v1 as v1

from autodist_saved.errors import Problem
from autodist_saved.graph.meta_graph_builder import GraphDescription
from autodist_saved.job.job_of import job_of
from autodist_saved.options import ExportOptions
from autodist_saved.pipeline.export import Export
from autodist_saved.pipeline.request_from_arguments import MetaGraphArguments, request_from_arguments
from autodist_saved.publish.target import Target
from autodist_saved.saver import Saver


def dry_run(
    session: v1.Session,
    saver: Saver,
    arguments: MetaGraphArguments,
    target: Target,
    options: ExportOptions,
    known_problems: Iterable[Problem] = (),
) -> int:
    """Plan and describe an export of a plain session, on the chief. Touches neither the job nor the target.

    Args:
        session: whose variables are to be exported.
        saver: made before it.
        arguments: of the meta graph.
        target: where exports are to go.
        options: how they are to work.
        known_problems: what was found wrong before; raised with all the rest.

    Returns:
        bytes of the variables of one model.

    Raises:
        UsageError: the saver was made in another graph.
        SignatureError, GraphError, BindingError: as :meth:`SavedModelBuilder.add_meta_graph_and_variables`.
        TargetError: as :func:`check_target`.
    """
    staging = saver.staging_in(session.graph)
    request = request_from_arguments(session.graph, saver, staging, arguments)
    request = replace(request, known_problems=(*request.known_problems, *known_problems))
    source = job_of(session).source(session, staging, saver.turn)
    export = Export("dry run", target, options)
    with session.graph.as_default():
        return export.prepare(GraphDescription(request), source).plan.nbytes
