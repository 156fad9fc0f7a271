"""The files of a model that are not its variables: graphs, their fingerprint, assets, and extra files."""

from __future__ import annotations

import filecmp
import logging
import os
from collections.abc import Collection
from pathlib import Path

from autodist_saved.graph.description import MetaGraph
from autodist_saved.graph.saved_model import SavedModelGraphs
from autodist_saved.publish.checksums import write_summed
from autodist_saved.publish.files import SavedModelFiles
from autodist_saved.report.report import FileSum
from autodist_saved.tf_internals import private_api

log = logging.getLogger(__name__)


class MetaGraphFiles:
    """Writes what meta graphs bring along as they come, and the graphs when there are no more.

    Attributes:
        sums: of what was written, by path in the model.
        extra_files: the files in ``assets.extra`` so far, by path below it.
        graphs: the meta graphs so far.
    """

    def __init__(self) -> None:
        """Writes nothing."""
        self.sums: dict[str, FileSum] = {}
        self.extra_files: set[str] = set()
        self.graphs = SavedModelGraphs()

    @property
    def nbytes(self) -> int:
        """Bytes of the meta graphs so far."""
        return self.graphs.nbytes

    def has(self, tags: Collection[str]) -> bool:
        """Whether a meta graph has exactly these tags."""
        return self.graphs.has(tags)

    def add(self, meta_graph: MetaGraph, files: SavedModelFiles) -> None:
        """Add a meta graph, and write its files. Raises ``OSError``."""
        for name, origin in meta_graph.assets.items():
            files.assets.mkdir(exist_ok=True)
            if _is_another(origin, files.assets / name):  # the first one stays, as in TensorFlow's builder
                log.warning(
                    "assets/%s is the file of an earlier meta graph, and not %s, which has other contents; give the "
                    "files different names",
                    name,
                    origin,
                )
            else:
                self._write(files, files.assets / name, origin)
        for name, contents in meta_graph.extra_files.items():
            path = files.assets_extra / name
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write(files, path, contents)
            self.extra_files.add(name)
        self.graphs.add(meta_graph.proto)

    def write(self, files: SavedModelFiles, *, as_text: bool) -> None:
        """Write the graphs and their fingerprint, which has a form for the binary file alone. Raises ``OSError``."""
        graph_file = files.saved_model_text if as_text else files.saved_model
        self._write(files, graph_file, self.graphs.serialize(as_text=as_text))
        if not as_text:
            self._write(files, files.fingerprint, private_api.fingerprint(str(files.root)))

    def _write(self, files: SavedModelFiles, path: Path, contents: str | os.PathLike[str] | bytes) -> None:
        self.sums[path.relative_to(files.root).as_posix()] = write_summed(path, contents)


def _is_another(origin: str, staged: Path) -> bool:
    """Whether an earlier meta graph has brought a different file of this name."""
    return staged.exists() and not filecmp.cmp(origin, staged, shallow=False)
