"""The contract of a description: what one meta graph of a SavedModel is to be, whatever it is made from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tensorflow.core.protobuf import meta_graph_pb2

from autodist_saved.graph.arguments.examples import Examples
from autodist_saved.graph.arguments.extra_files import ExtraFiles
from autodist_saved.graph.restore_spec import RestoreSpec


@dataclass(frozen=True)
class MetaGraph:
    """A described meta graph, and the files that it brings along.

    Attributes:
        proto: the meta graph; its ``object_graph_def`` is empty where it is made from a ``tf.Graph``.
        assets: files that the graph reads; path by file name in ``assets/``.
        extra_files: files for others than the graph, by path in ``assets.extra/``.
        restored: the variables that the graph restores.
        serving: whether it is cut at its signatures, so that ``restored`` says which variables are written.
        devices_cleared: whether no node may name a task of the cluster.
        names_its_variables: whether whoever described it said which variables it restores. TensorFlow's builder takes
            any graph without a saver, even one that restores nothing of what is captured.
    """

    proto: meta_graph_pb2.MetaGraphDef
    assets: Mapping[str, str] = field(default_factory=dict)
    extra_files: ExtraFiles = field(default_factory=dict)
    restored: Sequence[RestoreSpec] = ()
    serving: bool = False
    devices_cleared: bool = True
    names_its_variables: bool = True


class Description(ABC):
    """One meta graph of a model, before it is written. The chief alone calls it, in one thread, in any order.

    Nothing here changes the live model: every method may be called while the job trains, and any number of times.
    """

    @property
    @abstractmethod
    def tags(self) -> Sequence[str]:
        """What loaders ask for, such as ``["serve"]``."""

    @property
    @abstractmethod
    def signatures(self) -> Mapping[str, Any]:
        """``SignatureDef`` by name, in terms of the live model's tensors."""

    @property
    def examples(self) -> Examples:
        """Inputs by signature, with which the written model is verified."""
        return {}

    @property
    def doubt(self) -> str:
        """Why the live model's answers are not those of the model that is written; empty where they are."""
        return ""

    @abstractmethod
    def describe(self, taken_extra_files: Collection[str] = ()) -> MetaGraph:
        """Make the meta graph. Two calls make equal ones.

        Args:
            taken_extra_files: what other meta graphs of the model have put into ``assets.extra/``.

        Raises:
            SignatureError: what is asked for does not fit the live model; all problems at once.
            GraphError: the graph is too large for a SavedModel, or nothing else could load it.
        """
