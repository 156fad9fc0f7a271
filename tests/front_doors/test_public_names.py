"""The front door: exactly the names that are advertised, and no TensorFlow until one of them needs it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import autodist_saved

PACKAGE = Path(autodist_saved.__file__).parent


def test_every_advertised_name_is_there_and_says_what_it_is() -> None:
    for name in autodist_saved.__all__:
        assert getattr(autodist_saved, name).__doc__, name
    assert sorted(autodist_saved._HOME) == autodist_saved.__all__ == dir(autodist_saved)


def test_other_names_are_not_there() -> None:
    assert not hasattr(autodist_saved, "utils")


def test_importing_imports_neither_tensorflow_nor_grpc() -> None:
    code = (
        "import sys, autodist_saved\n"
        "autodist_saved.Cluster, autodist_saved.Task, autodist_saved.AutodistSavedError\n"
        "loaded = {'tensorflow', 'grpc', 'keras'} & set(sys.modules)\n"
        "sys.exit(f'imported {loaded}' if loaded else 0)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_importing_has_no_effect_on_logging_or_the_file_system(tmp_path: Path) -> None:
    code = "import logging, autodist_saved.builder; assert not logging.getLogger('autodist_saved').handlers"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(PACKAGE.parent)}, check=True)
    assert not list(tmp_path.iterdir())


def test_user_mistakes_are_never_left_to_assert() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert not [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Assert)], path
