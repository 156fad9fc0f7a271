from __future__ import annotations

import errno
from pathlib import Path

import pytest
from google.protobuf.message import DecodeError

from autodist_saved.bundle.damage import Damage, reporting, reporting_unwritable
from autodist_saved.errors import BundleError, TargetUnwritableError, UnreadableError

PATH = Path("/models/7/variables/variables.index")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (Damage("it is blue"), "it is blue; copy it again from where it was written"),
        (Damage("it is blue", "paint it"), "it is blue; paint it"),
        (FileNotFoundError(errno.ENOENT, "x"), "there is no such file; check the path"),
        (IsADirectoryError(errno.EISDIR, "x"), r"cannot be read \(Is a directory\); check the path"),
        (DecodeError("wire type"), r"cannot be decoded \(wire type\); copy it again"),
    ],
    ids=repr,
)
def test_whatever_goes_wrong_while_reading_names_the_path_and_what_to_do(error: Exception, message: str) -> None:
    with pytest.raises(BundleError, match=f"^{PATH}: .*{message}") as caught, reporting(PATH, "emb"):
        raise error
    assert caught.value.path == str(PATH)
    assert caught.value.variable == "emb"
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    ("error", "said"), [(PermissionError(errno.EACCES, "x"), "Permission denied"), (OSError("odd"), "odd")], ids=repr
)
def test_what_cannot_be_read_is_not_said_to_be_damaged(error: Exception, said: str) -> None:
    message = rf"^{PATH}: it cannot be read \({said}\); check its permissions and its disk"
    with pytest.raises(UnreadableError, match=message) as caught, reporting(PATH, "emb"):
        raise error
    assert not isinstance(caught.value, BundleError)
    assert (caught.value.path, caught.value.variable) == (str(PATH), "emb")


def test_errors_of_programming_pass_through() -> None:
    with pytest.raises(ZeroDivisionError), reporting(PATH):
        _ = 1 // 0


def test_what_cannot_be_written_names_the_path_and_what_to_do() -> None:
    with (
        pytest.raises(TargetUnwritableError, match=f"^{PATH}: .*No space left.*choose another place"),
        reporting_unwritable(PATH),
    ):
        raise OSError(errno.ENOSPC, "x")


def test_more_room_is_no_advice_for_a_disk_that_is_read_only() -> None:
    with (
        pytest.raises(
            TargetUnwritableError, match=r"\(Read-only file system\); choose another place, or repair this one"
        ),
        reporting_unwritable(PATH),
    ):
        raise OSError(errno.EROFS, "x")
