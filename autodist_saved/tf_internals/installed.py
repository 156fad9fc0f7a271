"""Which TensorFlow is installed: any distribution that provides the module will do."""

from __future__ import annotations

import re

from autodist_saved.errors import Problem, TensorFlowMissingError

OLDEST = (2, 20)
NEWER = (2, 22)
"""The first version that nobody has tried. ``pyproject.toml`` has the same bounds."""

_KNOWN = "TensorFlow 2.20 or 2.21"
_FIX = (
    "pip install 'autodist-saved[tensorflow]', or any distribution with the module tensorflow: tensorflow-cpu, one "
    "for your accelerator, one that you have built"
)


def require_tensorflow() -> None:
    """Import TensorFlow. The package calls it before it loads a module that needs TensorFlow.

    Raises:
        TensorFlowMissingError: there is none, or one that this package was not made for.
    """
    try:
        import tensorflow as tf
    except ModuleNotFoundError as error:
        if error.name != "tensorflow":
            raise
        _refuse("there is no module of this name", _FIX, error)
    version = str(tf.__version__)
    found = re.match(r"(\d+)\.(\d+)", version)
    if found is None or not OLDEST <= (int(found[1]), int(found[2])) < NEWER:
        where = ", ".join(getattr(tf, "__path__", ()))
        _refuse(f"its version is {version} (in {where})", f"install {_KNOWN} in its place", None)


def _refuse(what: str, fix: str, cause: Exception | None) -> None:
    problem = Problem("module tensorflow", what, fix)
    raise TensorFlowMissingError(f"this package needs {_KNOWN}", problems=[problem]) from cause
