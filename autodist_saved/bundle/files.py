"""The names of the files of a bundle."""

from __future__ import annotations

from pathlib import Path


def index_path(prefix: str) -> Path:
    """The file that lists the tensors."""
    return Path(f"{prefix}.index")


def data_path(prefix: str, data_file: int, data_files: int) -> Path:
    """The file that holds bytes of tensors, number ``data_file`` of ``data_files``, counted from 0."""
    return Path(f"{prefix}.data-{data_file:05d}-of-{data_files:05d}")
