"""A process that loads a model as everybody does, on the CPU alone, and knows nothing of the job."""

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
        what: for messages.
        feeds: ``TensorProto`` by the name of the tensor.
        fetches: names of tensors by labels.
    """

    what: str
    feeds: Mapping[str, Any]
    fetches: Mapping[str, str]


@dataclass(frozen=True)
class Reply:
    """What became of loading a graph, or of a call: answers by labels, none for loading; or what went wrong."""

    answers: Mapping[str, Array]
    error: str | None = None


def load_and_call(
    model: Path, graphs: Sequence[tuple[Sequence[str], Sequence[Call]]], timeout_secs: float
) -> list[tuple[Reply, list[Reply]]]:
    """Load each graph of a model and call it, in a process of its own.

    It ends with this one, gets no signals of a terminal, and leaves the processor to training.

    Args:
        model: directory of the SavedModel.
        graphs: tags and calls of each.
        timeout_secs: for all of it.

    Returns:
        for each graph what became of loading it and of its calls; no calls where it could not be loaded.

    Raises:
        VerifyError: the process did not answer in time, or has ended.
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
        what = f"it did not end within {timeout_secs:g} s; {_reached(error.stdout, graphs)}"
        fix = "raise ExportOptions.verify_timeout_secs, or give smaller examples"
        raise _failure(model, what, fix) from error
    if ended.returncode:
        said = ended.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        what = f"it {_ending(ended.returncode)}; {_reached(ended.stdout, graphs)}; its last words: {said or 'none'}"
        fix = "look whether the machine has memory for another copy of the variables, and export again"
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
    """What a process was doing that has said so much."""
    replies = map(_reply, (output or b"").splitlines(keepends=False))
    for tags, calls in graphs:
        loaded = next(replies, None)
        if loaded is None:
            return f"it was loading the graph {', '.join(tags)}"
        for call in calls if loaded.error is None else ():
            if next(replies, None) is None:
                return f"it was at {call.what}"
    return "it had answered everything"


def _ending(status: int) -> str:
    if status > 0:
        return f"failed with exit status {status}"
    return f"was ended by signal {-status} ({signal.strsignal(-status)})"


def _failure(model: Path, what: str, fix: str) -> VerifyError:
    problem = Problem(_PLACE, what, f"nothing was made visible; {fix}")
    return VerifyError("the model could not be loaded in another process", problems=[problem], path=str(model))
