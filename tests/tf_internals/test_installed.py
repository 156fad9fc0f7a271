"""Any distribution that provides TensorFlow will do; without one an error says what to do."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from autodist_saved.tf_internals.installed import NEWER, OLDEST
from tests.support.places import ROOT


def told(folder: Path, code: str) -> str:
    """What the code prints, with modules of this folder before all others."""
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(folder)!r}); {code}"]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.strip()


def tensorflow(folder: Path, version: str) -> None:
    """A module of that name, which no package index knows."""
    (folder / "tensorflow").mkdir()
    (folder / "tensorflow" / "__init__.py").write_text(f"__version__ = {version!r}\n")


REQUIRE = "from autodist_saved.tf_internals.installed import require_tensorflow; "


@pytest.mark.parametrize("version", ["2.20.0", "2.21.0", "2.21.0-dev20260101", "2.21.1+rocm"])
def test_a_module_of_whatever_distribution_will_do(tmp_path: Path, version: str) -> None:
    tensorflow(tmp_path, version)
    code = "require_tensorflow(); import tensorflow; print(tensorflow.__version__)"
    assert told(tmp_path, REQUIRE + code) == version


@pytest.mark.parametrize("version", ["1.15.5", "2.19.1", "2.22.0", "3.0.0", "unknown"])
def test_a_version_that_this_package_was_not_made_for_is_refused(tmp_path: Path, version: str) -> None:
    tensorflow(tmp_path, version)
    code = """
try: ads.Saver
except ImportError as error: print(type(error).__name__, error)"""
    said = told(tmp_path, f"import autodist_saved as ads\n{code}")
    assert said.startswith("TensorFlowMissingError this package needs TensorFlow 2.20 or 2.21")
    assert f"module tensorflow: its version is {version} (in {tmp_path}/tensorflow)" in said
    assert "fix: install TensorFlow 2.20 or 2.21 in its place" in said


def test_without_one_an_error_names_the_ways_to_get_one_and_all_else_works(tmp_path: Path) -> None:
    code = """sys.modules['tensorflow'] = None
import autodist_saved as ads
print(len(ads.Cluster.local(ps=1).tasks))
for name in ('Saver', 'SavedModelBuilder', 'ChiefExportHook', 'create_distributed_session', 'serve', 'write_summary'):
    try: getattr(ads, name)
    except ads.AutodistSavedError as error: print(error)"""
    tasks, *errors = re.split(r"\n(?=this package)", told(tmp_path, code))
    assert tasks == "2"
    assert len(errors) == 6
    for error in errors:
        assert "module tensorflow: there is no module of this name" in error
        assert "fix: pip install 'autodist-saved[tensorflow]', or any distribution with the module" in error


def test_no_distribution_of_it_is_forced_on_anybody() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert not [one for one in project["dependencies"] if "tensorflow" in one]
    bounds = f">={OLDEST[0]}.{OLDEST[1]},<{NEWER[0]}.{NEWER[1]}"
    for name in ("tensorflow", "tensorflow-cpu"):
        assert project["optional-dependencies"][name] == [name + bounds]
