from __future__ import annotations

from pathlib import Path

import numpy as np

from autodist_saved.bundle.files import data_path, index_path

from .bundles import save_with_tensorflow


def test_files_are_named_as_tensorflow_names_them(tmp_path: Path) -> None:
    prefix = str(save_with_tensorflow(tmp_path / "model.ckpt-7", {"x": np.float32(1)}))
    assert {index_path(prefix), data_path(prefix, 0, 1)} == set(tmp_path.iterdir())
    assert data_path("v", 3, 12).name == "v.data-00003-of-00012"
