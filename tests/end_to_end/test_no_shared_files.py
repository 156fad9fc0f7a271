"""Parameter servers that do not see the chief's directory, as on machines of their own: in mount namespaces."""

from __future__ import annotations

from pathlib import Path

import pytest

from autodist_saved.cluster import Cluster
from tests.support.job import Job


@pytest.mark.root
@pytest.mark.parametrize("blind", [("ps:0", "ps:1"), ("ps:1",)], ids=["none_sees_it", "one_sees_it"])
def test_exports_and_restores_need_no_shared_file_system(tmp_path: Path, blind: tuple[str, ...]) -> None:
    place = tmp_path / "place"
    place.mkdir()
    hide = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs none "{place}" && exec "$@"', "sh"]
    job = Job(Cluster.local(ps=2, workers=1), tmp_path)
    try:
        for task in ("ps:0", "ps:1"):
            job.start_task(task, "hidden_directory.py", behind=hide if task in blind else [])
        job.start_task("worker:0", "hidden_directory.py")
        job.succeed()
    finally:
        job.end()
    first, *others = job.found("sums")
    assert first != 0
    assert others == [0, first, 0, first]
    ways = {task: "stream" if task in blind else "shared" for task in ("ps:0", "ps:1")}
    assert job.found("transport") == ways
    for task in blind:
        assert job.found(f"seen-by-{task}") == []
    assert (place / "model" / "saved_model.pb").exists()
