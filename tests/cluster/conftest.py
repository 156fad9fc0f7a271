"""What the tests of cluster files share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from autodist_saved.cluster import Cluster
from autodist_saved.errors import ClusterConfigError


@pytest.fixture
def problems_of(tmp_path: Path) -> Callable[[str], list[str]]:
    """The problems for which a cluster file of a given text is refused. PATH stands for its path."""
    path = tmp_path / "cluster.yaml"

    def problems_of(text: str) -> list[str]:
        path.write_text(text)
        with pytest.raises(ClusterConfigError) as caught:
            Cluster.from_yaml(path)
        assert str(path) in str(caught.value)
        return [str(problem).replace(str(path), "PATH") for problem in caught.value.problems]

    return problems_of
