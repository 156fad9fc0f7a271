"""Parameter servers that do not see the chief's directory, as on machines of their own: in mount namespaces."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autodist_saved.cluster import Cluster
from tests.job import Job


@pytest.mark.skipif(os.geteuid() != 0, reason="mount namespaces need root")
def test_exports_and_restores_need_no_shared_file_system(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    hide = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs none "{place}" && exec "$@"', "sh"]
    job = Job(Cluster.local(ps=2, workers=1), tmp_path)
    try:
        for task in ("ps:0", "ps:1"):
            job.start_task(task, "hidden_directory.py", behind=hide)
        job.start_task("worker:0", "hidden_directory.py")
        job.succeed()
    finally:
        job.end()
    first, *others = job.found("sums")
    assert first != 0
    assert others == [0, first, 0, first]
    assert job.found("seen-by-ps:0") == job.found("seen-by-ps:1") == []
    assert (place / "model" / "saved_model.pb").exists()
