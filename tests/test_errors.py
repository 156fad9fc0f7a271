"""Errors travel between processes, keep their context, and are caught by what TensorFlow's users wrote before."""

from __future__ import annotations

import inspect
import pickle

import pytest

from autodist_saved import errors
from autodist_saved.errors import AutodistSavedError, Problem, ProblemsError

ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, AutodistSavedError)]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_each_error_survives_pickling_with_its_context(kind: type[AutodistSavedError]) -> None:
    error = kind("what to do", path="/models/1")
    error.phase = "stream"
    if isinstance(error, ProblemsError):
        error.problems = (Problem("here", "wrong", "mend"),)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(copy) is kind
    assert str(copy) == str(error)
    assert copy.path == "/models/1"
    assert copy.phase == "stream"


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_each_error_says_what_it_is_for(kind: type[AutodistSavedError]) -> None:
    assert kind.__doc__


def test_context_is_shown_once() -> None:
    error = AutodistSavedError("cannot read /models/1", path="/models/1", task="ps:0", phase="stream")
    assert str(error) == "cannot read /models/1 [phase: stream; task: ps:0]"


def test_all_problems_are_shown_with_their_fix() -> None:
    error = errors.ConfigError("bad file", problems=[Problem("a", "b", "c"), Problem("d", "e", "f")])
    assert str(error) == "bad file (2 problems)\n  1. a: b\n    fix: c\n  2. d: e\n    fix: f"


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.SaverRequiredError, ValueError),
        (errors.SaverTooLateError, RuntimeError),
        (errors.NoVariablesError, ValueError),
        (errors.TargetExistsError, AssertionError),
        (errors.TargetExistsError, FileExistsError),
        (errors.TargetUnwritableError, PermissionError),
        (errors.TaskUnreachableError, TimeoutError),
        (errors.ChiefLostError, ConnectionError),
    ],
)
def test_code_written_for_built_in_errors_still_catches(kind: type[Exception], builtin: type[Exception]) -> None:
    assert issubclass(kind, builtin)
