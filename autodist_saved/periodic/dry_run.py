"""An export without its effects: what is wrong with one is found before a job trains for days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import tensorflow.compat.v1 as v1

from autodist_saved.builder import SavedModelBuilder
from autodist_saved.cluster import Cluster
from autodist_saved.errors import Problem
from autodist_saved.graph.request import MetaGraphRequest
from autodist_saved.pipeline.export import Export
from autodist_saved.sources.source import Source


class Rehearsal(SavedModelBuilder):
    """A builder that checks its arguments, plans and describes, and touches neither the job nor the target.

    Attributes:
        nbytes: bytes of the variables that the model is to have.
        known_problems: what was found wrong before; it is told with all the rest.
    """

    nbytes = 0
    known_problems: Sequence[Problem] = ()

    def _capture(self, session: v1.Session, cluster: Cluster, request: MetaGraphRequest, source: Source) -> None:  # noqa: ARG002
        request = replace(request, known_problems=[*request.known_problems, *self.known_problems])
        self.nbytes = Export(str(cluster.chief), self._target, self._options).prepare(request, source).plan.nbytes
