"""Every error of TensorFlow, gRPC and the operating system that users could meet has a translation."""

from __future__ import annotations

import errno
import inspect
from pathlib import Path

import botocore.exceptions
import grpc
import pytest
import tensorflow as tf

from autodist_saved.errors import (
    AutodistSavedError,
    ExportError,
    JobError,
    TargetError,
    TargetUnwritableError,
    TaskUnreachableError,
    UnreadableError,
)
from autodist_saved.system import error_translation
from autodist_saved.system.error_translation import reading, storing, translate, translated

TENSORFLOW_ERRORS = [
    kind
    for _, kind in inspect.getmembers(tf.errors, inspect.isclass)
    if issubclass(kind, tf.errors.OpError) and kind is not tf.errors.OpError
]


@pytest.mark.parametrize("kind", TENSORFLOW_ERRORS, ids=lambda kind: kind.__name__)
def test_each_error_of_tensorflow_is_translated_and_quoted(kind: type[tf.errors.OpError]) -> None:
    assert kind.__name__ in error_translation.TENSORFLOW, (
        "a new TensorFlow has a new error: decide what its receiver can do"
    )
    ours = translate(kind(None, None, "the reason\nand a long traceback"))
    assert isinstance(ours, AutodistSavedError)
    assert f"({kind.__name__}: the reason)" in str(ours)


def test_the_table_names_no_error_that_tensorflow_does_not_have() -> None:
    assert set(error_translation.TENSORFLOW) == {kind.__name__ for kind in TENSORFLOW_ERRORS}


@pytest.mark.parametrize("number", sorted(error_translation.OPERATING_SYSTEM), ids=errno.errorcode.get)
def test_errors_of_the_file_system_say_what_to_do(number: int) -> None:
    ours = translate(OSError(number, "as the system says", "/models/1"))
    assert isinstance(ours, error_translation.OPERATING_SYSTEM[number][0])
    assert "choose" in str(ours) or "change" in str(ours)
    assert ours.path == "/models/1"
    assert "/models/1" in str(ours)


def test_any_other_error_of_the_operating_system_is_quoted() -> None:
    assert "(Input/output error)" in str(translate(OSError(errno.EIO, "Input/output error")))


def test_a_broken_call_of_the_control_service_is_the_jobs_fault() -> None:
    assert isinstance(translate(grpc.RpcError("gone")), JobError)


def test_errors_of_object_stores_say_what_to_do() -> None:
    lost = botocore.exceptions.EndpointConnectionError(endpoint_url="http://localhost:1")
    assert isinstance(translate(lost), TargetError)
    assert "the object store cannot be reached; check the network" in str(translate(lost))
    assert "there are no credentials" in str(translate(botocore.exceptions.NoCredentialsError()))
    assert isinstance(translate(PermissionError("Access Denied")), TargetUnwritableError)
    assert "(Access Denied)" in str(translate(PermissionError("Access Denied")))


def test_what_an_object_store_says_names_the_object() -> None:
    place = Path("bucket/model")
    with pytest.raises(TargetError, match="bucket/model: there is no such bucket or object"), storing(place):
        raise FileNotFoundError("The specified bucket does not exist")
    with pytest.raises(TargetUnwritableError) as caught, storing(place):
        raise PermissionError("Access Denied")
    assert caught.value.path == "bucket/model"
    with pytest.raises(UnreadableError, match="bucket/model: the object store cannot be reached"), reading(place):
        raise botocore.exceptions.EndpointConnectionError(endpoint_url="http://localhost:1")


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), RuntimeError("x")])
def test_mistakes_in_programs_are_left_alone(error: Exception) -> None:
    assert translate(error) is None
    with pytest.raises(type(error)), translated("stream"):
        raise error


def test_the_phase_is_noted_and_the_cause_is_kept() -> None:
    with (
        pytest.raises(TargetUnwritableError, match=r"\[phase: stream; path: /full\]") as caught,
        translated("stream"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device", "/full")
    assert isinstance(caught.value.__cause__, OSError)


def test_our_own_errors_get_the_phase_unless_they_have_one() -> None:
    with pytest.raises(ExportError, match="phase: plan"), translated("stream"), translated("plan"):
        raise ExportError("given up")


def test_tasks_that_tensorflow_calls_in_vain_are_named() -> None:
    message = """Graph execution error:

=====================
UNAVAILABLE: From /job:ps/replica:0/task:1:
failed to connect to all addresses
Additional GRPC error information from remote target /job:ps/replica:0/task:1 while calling RunGraph:
:UNKNOWN:Error received from peer
Additional GRPC error information from remote target /job:ps/replica:0/task:0 while calling RunGraph:
"""
    error = translate(tf.errors.UnavailableError(None, None, message))
    assert isinstance(error, TaskUnreachableError)
    assert error.task == "ps:1, ps:0"
    assert "UnavailableError: failed to connect to all addresses" in str(error)


def test_a_parameter_server_that_has_ended_a_session_is_named() -> None:
    error = translate(tf.errors.AbortedError(None, None, "ps:1 is lost, and what it held"))
    assert isinstance(error, TaskUnreachableError)
    assert error.task == "ps:1"


def test_of_a_node_that_failed_what_it_said_is_told_and_not_where_it_was_made() -> None:
    message = """Graph execution error:

Detected at node 'text_file_init' defined at (most recent call last):
  File "train.py", line 3, in <module>
Node: 'text_file_init'
words.txt; No such file or directory
\t [[{{node text_file_init}}]]
"""
    assert "(NotFoundError: words.txt; No such file or directory)" in str(
        translate(tf.errors.NotFoundError(None, None, message))
    )
