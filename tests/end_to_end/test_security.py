"""A whole job whose tasks have to show who they are, from one cluster file, in real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from autodist_saved.cluster import Cluster
from tests.support.certificates import Authority
from tests.support.job import JOBS, ROOT, Job
from tests.support.patience import PATIENCE_SECS

CLUSTER = {"chief": ["localhost:0"], "worker": ["localhost:0"], "ps": ["localhost:0"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A cluster file with a token and certificates beside it."""
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text("k7aT0bY2xQ9mZ4cV1nR8\n")
    Authority(tmp_path, "ours").issue("task")
    control = {"token_file": "token", "certificate": "task.pem", "key": "task.key", "authority": "ours.pem"}
    (tmp_path / "cluster.yaml").write_text(yaml.safe_dump({"cluster": CLUSTER, "control": control}))
    return tmp_path


def test_a_launched_job_exports(folder: Path) -> None:
    run = subprocess.run(
        [
            str(Path(sys.executable).with_name("autodist-saved")),
            "launch",
            str(folder / "cluster.yaml"),
            "--",
            sys.executable,
            str(JOBS / "export.py"),
            str(folder),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECS,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert (folder / "model" / "saved_model.pb").exists()
    assert json.loads((folder / "left-behind.json").read_text()) == []
    report = json.loads((folder / "builder-chief:0.json").read_text())["report"]
    assert report["transport"] == {"ps:0": "shared"}


def test_a_parameter_server_without_the_token_ends_and_says_so(folder: Path) -> None:
    cluster = Cluster.from_yaml(folder / "cluster.yaml").with_free_ports()
    job = Job(cluster, folder)
    try:
        job.start("export.py", without=("ps:0", "worker:0"))
        described = json.loads(cluster.tf_config(cluster.for_task("ps:0").task))
        del described["control"]["token_file"]
        job.start_task("ps:0", "export.py", {"TF_CONFIG": json.dumps(described)})
        assert job.processes["ps:0"].wait(PATIENCE_SECS) == 1
        last = job.log("ps:0").splitlines()[-1]
        assert last.startswith("autodist_saved.errors.JobError: the chief turned this task away: it says no token")
        assert job.processes["chief:0"].poll() is None
        line = job.wait_for_log("chief:0", "turned away")
        assert "it says no token, and the chief asks for one" in line
    finally:
        job.end()
