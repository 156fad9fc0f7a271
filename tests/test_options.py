"""Options are checked when they are made."""

from __future__ import annotations

import pickle

import pytest

from autodist_saved.errors import OptionsError
from autodist_saved.options import ExportOptions, SessionOptions


def test_all_wrong_options_are_reported_at_once() -> None:
    with pytest.raises(OptionsError) as caught:
        ExportOptions(chunk_bytes=0, verify="maybe", color="red")
    text = str(caught.value)
    assert "wrong ExportOptions (3 problems)" in text
    assert "chunk_bytes: Input should be greater than or equal to 1 (given: 0)" in text
    assert "verify: Input should be 'full', 'checksums' or 'none' (given: 'maybe')" in text
    assert "fix: known options are " + ", ".join(sorted(ExportOptions.model_fields)) in text


@pytest.mark.parametrize("value", [0, -1, float("nan"), "soon"])
def test_times_are_positive_numbers(value: object) -> None:
    with pytest.raises(OptionsError, match="start_timeout_secs"):
        SessionOptions(start_timeout_secs=value)


def test_options_are_frozen_and_travel() -> None:
    options = ExportOptions(chunk_bytes=4096)
    with pytest.raises(Exception, match="frozen"):
        options.chunk_bytes = 1  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(options)) == options  # noqa: S301 - our own bytes
