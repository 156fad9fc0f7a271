"""Compares two models."""

from __future__ import annotations

from dataclasses import dataclass

from autodist_saved.graph.stored.meta_graph import MetaGraph
from autodist_saved.publish.checksums import file_sums
from autodist_saved.report.report import FileSum
from autodist_saved.saved_models.changes import Changes
from autodist_saved.saved_models.graph_difference import GraphDifference, compare_graphs
from autodist_saved.saved_models.saved_model import SavedModel
from autodist_saved.saved_models.variable_difference import VariableDifference, compare_variables
from autodist_saved.system.error_translation import reading


@dataclass(frozen=True)
class ModelDifference:
    """The differences between two models. Its truth value is false if there are none.

    Attributes:
        tags: sets of tags with which only one of the models has a graph.
        graphs: the differences between graphs with the same tags; graphs that do not differ are left out.
        assets: names of files; changed if their bytes differ.
        variables: differences of names, dtypes, shapes and values.
    """

    tags: Changes
    graphs: tuple[GraphDifference, ...]
    assets: Changes
    variables: VariableDifference

    def __bool__(self) -> bool:
        return bool(self.tags or self.graphs or self.assets or self.variables)


def compare_models(a: SavedModel, b: SavedModel) -> ModelDifference:
    """Compare two models. The program that wrote them, and files that no loader reads, do not count.

    Raises:
        ModelError, BundleError: files are missing or damaged.
        UnreadableError: files cannot be read.
    """
    in_a, in_b = _by_tags(a), _by_tags(b)
    graphs = [compare_graphs(graph, in_b[tags]) for tags, graph in in_a.items() if tags in in_b]
    return ModelDifference(
        Changes.between(dict.fromkeys(in_a), dict.fromkeys(in_b)),
        tuple(difference for difference in graphs if difference),
        Changes.between(_assets(a), _assets(b)),
        compare_variables(a.variables, b.variables),
    )


def _by_tags(model: SavedModel) -> dict[str, MetaGraph]:
    return {", ".join(graph.tags): graph for graph in model.graphs}


def _assets(model: SavedModel) -> dict[str, FileSum]:
    with reading(model.files.root):
        sums = file_sums(model.files)
    folder = f"{model.files.assets.name}/"
    return {name.removeprefix(folder): one for name, one in sums.items() if name.startswith(folder)}
