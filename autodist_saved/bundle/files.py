"""The files of a bundle: their names, and how bytes are put into one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy.typing as npt


def index_path(prefix: str) -> Path:
    """The file that lists the tensors."""
    return Path(f"{prefix}.index")


def data_path(prefix: str, data_file: int, data_files: int) -> Path:
    """The file that holds bytes of tensors, number ``data_file`` of ``data_files``, counted from 0."""
    return Path(f"{prefix}.data-{data_file:05d}-of-{data_files:05d}")


def write_all(descriptor: int, data: npt.NDArray[Any], offset: int) -> None:
    """Put bytes into an open file. Raises ``OSError``."""
    while data.nbytes:
        written = os.pwrite(descriptor, data.data, offset)
        data, offset = data[written:], offset + written
