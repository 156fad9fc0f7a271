"""The process that loads a model: what it answers, and what is said when it cannot."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow.compat.v1 as v1

from autodist_saved.errors import VerifyError
from autodist_saved.system.niceness import NICENESS
from autodist_saved.verification import loader
from autodist_saved.verification.fresh_process import Call, load_and_call
from tests.support.job import ROOT
from tests.support.patience import PATIENCE_SECS

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Graphs that double, and that end the process."""
    place = tmp_path_factory.mktemp("models") / "1"
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None], name="x")
        tf.multiply(x, 2.0, name="y")
        tf.strings.as_string(x, name="text")
        with tf.control_dependencies([tf.raw_ops.Abort(error_msg="on purpose")]):
            tf.identity(x, name="end")
        builder = v1.saved_model.Builder(str(place))
        builder.add_meta_graph_and_variables(session, ["serve"])
        builder.save()
    return place


def call(fetches: dict[str, str], value: Any = (1.0, 2.0)) -> Call:
    return Call("signature 'y', example 0", {"x:0": tf.make_tensor_proto(value, tf.float32)}, fetches)


def loaders(pid: int) -> list[int]:
    """The processes that load models for a process."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # threads and processes end meanwhile
            for child in (task / "children").read_text().split():
                if loader.__file__ in Path(f"/proc/{child}/cmdline").read_text():
                    found.append(int(child))
    return found


def has_ended(pid: int) -> bool:
    """Whether a process runs no more; somebody may have to be told still."""
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True


def wait_for(found: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_SECS
    while not (seen := found()):
        assert time.monotonic() < deadline
        time.sleep(0.01)  # /proc has no event to wait for
    return seen


def test_it_answers_each_call_and_says_what_it_cannot(model: Path) -> None:
    asked = [call({"y": "y:0", "text": "text:0", "none": "y"}), call({"y": "z:0"}), call({"y": "y:0"}, [3.0])]
    (found, replies), (lost, nothing) = load_and_call(model, [(["serve"], asked), (["gpu"], asked)], PATIENCE_SECS)
    assert found.error is None
    np.testing.assert_array_equal(replies[0].answers["y"], np.float32([2, 4]))
    assert replies[0].answers["text"].tolist() == [b"1.000000", b"2.000000"]
    assert replies[0].answers.keys() == {"y", "text"}, "an operation has no value"
    assert "z:0" in (replies[1].error or "")
    assert replies[2].answers["y"].tolist() == [6.0]
    assert "could not be found" in (lost.error or "")
    assert nothing == []


def test_one_that_dies_is_told_with_what_it_was_at(model: Path) -> None:
    with pytest.raises(VerifyError) as caught:
        load_and_call(model, [(["serve"], [call({"y": "y:0"}), call({"end": "end:0"})])], PATIENCE_SECS)
    (problem,) = caught.value.problems
    assert "it was killed by signal 6 (Aborted); it was answering signature 'y', example 0" in problem.what
    assert "the model was not published" in problem.fix


def test_one_that_is_killed_is_told(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", "of the job")
    with ThreadPoolExecutor(1) as aside:
        loading = aside.submit(load_and_call, model, [(["serve"], [])], PATIENCE_SECS)
        (child,) = wait_for(lambda: loaders(os.getpid()))
        environment = Path(f"/proc/{child}/environ").read_text().split("\0")
        os.kill(child, signal.SIGKILL)
        with pytest.raises(
            VerifyError, match=r"it was killed by signal 9 \(Killed\); it was loading the graph serve"
        ):
            loading.result()
    assert "CUDA_VISIBLE_DEVICES=-1" in environment
    assert not [one for one in environment if one.startswith("TF_CONFIG")]


def test_one_that_takes_too_long_is_ended_and_told(model: Path) -> None:
    with pytest.raises(VerifyError, match=r"did not finish within 0.5 s; it was loading the graph serve"):
        load_and_call(model, [(["serve"], [])], 0.5)
    assert loaders(os.getpid()) == []


def test_it_ends_with_its_parent(model: Path) -> None:
    program = (
        "import sys\n"
        "from autodist_saved.verification.fresh_process import load_and_call\n"
        "load_and_call(sys.argv[1], [(['serve'], [])] * 10_000, 600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(model)], env=ENVIRONMENT)
    child = None
    try:
        (child,) = wait_for(lambda: loaders(parent.pid))
        wait_for(lambda: "tensorflow" in Path(f"/proc/{child}/maps").read_text())
        assert os.getpriority(os.PRIO_PROCESS, child) >= NICENESS, "training goes first"
        os.kill(child, signal.SIGSTOP)  # it will not notice by itself
        parent.kill()
        parent.wait()
        wait_for(lambda: has_ended(child))
    finally:
        for pid in filter(None, (child, parent.pid)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        parent.wait()
