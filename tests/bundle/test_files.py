from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from autodist_saved.bundle.files import allocate, data_path, index_path
from tests.support.bundles import save_with_tensorflow


def test_files_are_named_as_tensorflow_names_them(tmp_path: Path) -> None:
    prefix = str(save_with_tensorflow(tmp_path / "model.ckpt-7", {"x": np.float32(1)}))
    assert {index_path(prefix), data_path(prefix, 0, 1)} == set(tmp_path.iterdir())
    assert data_path("v", 3, 12).name == "v.data-00003-of-00012"


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _mounted(kind: str, place: Path, *options: str) -> Iterator[Path]:
    subprocess.run(["mount", "-t", kind, *options, "none", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def test_a_file_gets_its_size_and_room_for_it_and_keeps_what_it_holds(tmp_path: Path) -> None:
    with _opened(tmp_path / "data") as file:
        os.pwrite(file, b"first", 0)
        allocate(file, 2**20)
        status = os.fstat(file)
        assert os.pread(file, 6, 0) == b"first\0"
        allocate(file, 0)
        assert os.fstat(file).st_size == 0
    assert status.st_size == 2**20
    assert status.st_blocks * 512 >= 2**20


@pytest.mark.root
def test_where_there_is_no_room_it_is_told_at_once(tmp_path: Path) -> None:
    with _mounted("tmpfs", tmp_path, "-o", "size=1m") as place, _opened(place / "data") as file:
        with pytest.raises(OSError, match="No space left") as raised:
            allocate(file, 2**21)
        assert raised.value.errno == errno.ENOSPC
        assert os.fstat(file).st_size == 0


@pytest.mark.root
def test_a_file_system_that_cannot_give_room_beforehand_gives_the_size(tmp_path: Path) -> None:
    with _mounted("ramfs", tmp_path) as place, _opened(place / "data") as file:
        allocate(file, 2**20)
        assert os.fstat(file).st_size == 2**20
