"""What pages show of jobs that run: the tutorial, questions to a job, signals, tokens and TLS."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from autodist_saved import Cluster
from autodist_saved.cluster.ports import bind_any_port
from tests.documentation.launched import launched
from tests.documentation.page import DOCS, block, blocks, environment, write_files

TUTORIAL = DOCS / "tutorial.md"
HOST = "trainer-0.example.com"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With the files of the tutorial, and its program as the pages want it, which trains until it is stopped."""
    write_files(TUTORIAL, tmp_path)
    program = tmp_path / "train.py"
    text = program.read_text()
    assert ", stop]" in text
    program.write_text(text.replace(", stop]", "]"))
    return tmp_path


def test_the_tutorial_ends_with_a_served_model(tmp_path: Path) -> None:
    write_files(TUTORIAL, tmp_path)
    for one in blocks(TUTORIAL):
        for command in one.commands if one.language == "sh" and not one.title else ():
            done = run(tmp_path, command)
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    (serve,) = block(TUTORIAL, "one terminal").commands
    (ask,) = block(TUTORIAL, "another terminal").commands
    listener = bind_any_port("localhost")
    port = str(listener.getsockname()[1])
    listener.close()
    with launched(tmp_path) as shell:
        shell.type(serve.replace("8501", port))
        shell.wait_until(lambda: "ready\n" in shell.said())
        answers = [float(line) for line in run(tmp_path, ask.replace("8501", port)).stdout.split()]
    assert [round(answer) for answer in answers] == [1, 0, 1]


def test_a_running_job_answers(folder: Path) -> None:
    page = DOCS / "how-to" / "running-job.md"
    write_files(page, folder)
    (start,) = block(page, "one terminal").commands
    status, export = block(page, "another terminal").commands
    (watch,) = block(page, "a third terminal").commands
    with launched(folder) as job:
        job.type(f"exec {start}")
        address = job.address()
        assert all("localhost:2226" in command for command in (status, watch, export))
        job.wait_until_training(address)
        watching = subprocess.Popen(
            watch.replace("localhost:2226", address).split(),
            cwd=folder,
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        done = run(folder, status.replace("localhost:2226", address))
        assert done.returncode == 0, done.stderr
        assert "ps:1" in done.stdout
        done = run(folder, export.replace("localhost:2226", address))
        assert done.stdout.strip().endswith("models/on_request"), done.stderr
        elsewhere = run(folder, f"autodist-saved export {address} /elsewhere")
        assert elsewhere.returncode == 5
        assert "exports below models/ alone" in elsewhere.stderr
        os.kill(job.shell.pid, signal.SIGTERM)
        assert job.end() == 128 + signal.SIGTERM, job.said()
        assert watching.communicate(timeout=60)[0].endswith("the job is over\n")
    assert (folder / "models" / "on_request" / "saved_model.pb").exists()


def test_signals_do_what_the_page_says(folder: Path) -> None:
    page = DOCS / "how-to" / "signals.md"
    (start,), (export,) = block(page, "start").commands, block(page, "export now").commands
    stop, wait = block(page, "export and end").commands
    base = folder / "models" / "divisible"
    (folder / "train.py").write_text((folder / "train.py").read_text().replace("every_steps=100", ""))
    with launched(folder) as job:
        job.type(start)
        job.wait_until_training(job.address())
        job.type(export)
        job.wait_until((base / "1" / "saved_model.pb").exists)
        job.type(stop)
        job.type(wait)
        job.type("exit $?")
        assert job.end() == 128 + signal.SIGTERM, job.said()
        assert "SIGTERM passed on to chief:0" in job.said()
    assert (base / "2" / "saved_model.pb").exists(), job.said()


def test_a_job_with_the_pages_token_and_certificates_trains(folder: Path) -> None:
    page = DOCS / "how-to" / "secure.md"
    for one in blocks(page):
        for command in one.commands if one.language == "sh" else ():
            done = run(folder, f"umask 077; {command.replace(HOST, 'localhost')}")
            assert done.returncode == 0, f"{command}\n{done.stderr}"
    text = block(page, "cluster.yaml").text
    chosen = Cluster.local(ps=1, workers=1, chief=True).addresses
    for job, port in (("chief", 2222), ("worker", 2223), ("ps", 2224)):
        assert f"{HOST}:{port}" in text
        text = text.replace(f"{HOST}:{port}", chosen[job][0])
    (folder / "cluster.yaml").write_text(text)
    with launched(folder) as job:
        job.type("exec autodist-saved launch cluster.yaml -- python train.py")
        job.wait_until_training("cluster.yaml")
        without = job.run("autodist-saved", "status", job.address())
        assert without.returncode == 4, without.stdout
        os.kill(job.shell.pid, signal.SIGTERM)
        assert job.end() == 128 + signal.SIGTERM, job.said()
    assert list((folder / "models" / "divisible").glob("*/saved_model.pb")), job.said()


def run(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
