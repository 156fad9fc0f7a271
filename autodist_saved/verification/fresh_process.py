"""Loads a model in a fresh process with plain TensorFlow, on the CPU, without any knowledge of the job."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from autodist_saved.errors import Problem, VerifyError
from autodist_saved.system.error_translation import first_line
from autodist_saved.system.niceness import NICENESS
from autodist_saved.verification import loader
from autodist_saved.verification.comparison import Array

_OF_THE_JOB = ("TF_CONFIG",)
_PLACE = "fresh process"


@dataclass(frozen=True)
class Call:
    """One run of a loaded graph.

    Attributes:
        what: description, for messages.
        feeds: a ``TensorProto`` for each name of an input tensor.
        fetches: name of an output tensor for each label.
    """

    what: str
    feeds: Mapping[str, Any]
    fetches: Mapping[str, str]


@dataclass(frozen=True)
class Reply:
    """The result of loading a graph, or of one call.

    Attributes:
        answers: output arrays by label; empty for loading.
        error: the error's class and message, or None.
    """

    answers: Mapping[str, Array]
    error: str | None = None


def load_and_call(
    model: Path, graphs: Sequence[tuple[Sequence[str], Sequence[Call]]], timeout_secs: float
) -> list[tuple[Reply, list[Reply]]]:
    """Load each graph of a model and make calls to it, in a new process.

    The process ends when this one ends. It gets no signals from the terminal, and runs with a raised niceness, so
    that training has the processor first.

    Args:
        model: directory of the SavedModel.
        graphs: for each graph its tags and the calls.
        timeout_secs: time limit for all of it.

    Returns:
        for each graph the result of loading it, and the results of its calls. There are none if the graph could not
        be loaded.

    Raises:
        VerifyError: the process did not finish in time, or has failed.
    """
    asked = {"model": str(model), "parent": os.getpid(), "niceness": NICENESS, "graphs": list(map(_encoded, graphs))}
    try:
        ended = subprocess.run(
            [sys.executable, "-P", loader.__file__],
            input=json.dumps(asked).encode(),
            env={name: value for name, value in os.environ.items() if name not in _OF_THE_JOB}
            | {"CUDA_VISIBLE_DEVICES": "-1"},
            capture_output=True,
            timeout=timeout_secs,
            start_new_session=True,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        what = f"it did not finish within {timeout_secs:g} s; {_reached(error.stdout, graphs)}"
        fix = "raise ExportOptions.verify_timeout_secs, or use smaller examples"
        raise _failure(model, what, fix) from error
    if ended.returncode:
        said = ended.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        what = f"it {_ending(ended.returncode)}; {_reached(ended.stdout, graphs)}; its last output: {said or 'none'}"
        fix = "check that the machine has memory for another copy of the variables, and export again"
        raise _failure(model, what, fix)
    replies = map(_reply, ended.stdout.splitlines())
    return list(_by_graph(replies, graphs))


def _encoded(graph: tuple[Sequence[str], Sequence[Call]]) -> dict[str, Any]:
    tags, calls = graph
    return {
        "tags": list(tags),
        "calls": [
            {
                "feeds": {
                    name: base64.b64encode(value.SerializeToString()).decode() for name, value in call.feeds.items()
                },
                "fetches": dict(call.fetches),
            }
            for call in calls
        ],
    }


def _reply(line: bytes) -> Reply:
    said = json.loads(line)
    answers = {
        label: tf.make_ndarray(tensor_pb2.TensorProto.FromString(base64.b64decode(value)))
        for label, value in said.get("answers", {}).items()
    }
    error = f"{said['error']}: {first_line(said['message'])}" if "error" in said else None
    return Reply(answers, error)


def _by_graph(
    replies: Iterator[Reply], graphs: Sequence[tuple[Sequence[str], Sequence[Call]]]
) -> Iterator[tuple[Reply, list[Reply]]]:
    for _, calls in graphs:
        loaded = next(replies)
        yield loaded, [next(replies) for _ in calls] if loaded.error is None else []


def _reached(output: bytes | None, graphs: Sequence[tuple[Sequence[str], Sequence[Call]]]) -> str:
    """What the process was doing when it ended, concluded from the replies in its output."""
    replies = map(_reply, (output or b"").splitlines(keepends=False))
    for tags, calls in graphs:
        loaded = next(replies, None)
        if loaded is None:
            return f"it was loading the graph {', '.join(tags)}"
        for call in calls if loaded.error is None else ():
            if next(replies, None) is None:
                return f"it was answering {call.what}"
    return "it had answered everything"


def _ending(status: int) -> str:
    if status > 0:
        return f"failed with exit status {status}"
    return f"was killed by signal {-status} ({signal.strsignal(-status)})"


def _failure(model: Path, what: str, fix: str) -> VerifyError:
    problem = Problem(_PLACE, what, f"the model was not published; {fix}")
    return VerifyError("a fresh process could not load and call the model", problems=[problem], path=str(model))
