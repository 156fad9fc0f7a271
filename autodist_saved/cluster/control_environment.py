"""The environment variables that say what ``control`` says in ``TF_CONFIG``.

Operators of Kubernetes write ``TF_CONFIG`` themselves, and know nothing of our key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from autodist_saved.cluster.control_files import FILE_KEYS, ControlFiles
from autodist_saved.cluster.wording import listed, nearest
from autodist_saved.errors import ClusterConfigError, Problem

PREFIX = "AUTODIST_SAVED_CONTROL_"
VARIABLES = {PREFIX + key.upper(): key for key in ("address", *FILE_KEYS)}


class ControlEnvironment:
    """The variables that are set, and not empty."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Reads them.

        Raises:
            ClusterConfigError: a variable has our prefix and no name that we know: it is misspelled.
        """
        ours = {name: value for name, value in environ.items() if name.startswith(PREFIX) and value}
        if problems := [_unknown(name) for name in sorted(ours.keys() - VARIABLES)]:
            raise ClusterConfigError("the control service cannot be found", problems=problems)
        self._values = {VARIABLES[name]: value for name, value in ours.items()}

    @property
    def files(self) -> ControlFiles:
        """The files that they name."""
        return ControlFiles(**{key: value for key, value in self._values.items() if key in FILE_KEYS})

    def completed(self, control: object) -> object:
        """What ``control`` of ``TF_CONFIG`` says, and what it does not say from the variables."""
        if not self._values or not isinstance(control, Mapping | str | None):
            return control
        said = control if isinstance(control, Mapping) else {"address": control}
        return {**self._values, **{key: value for key, value in said.items() if value is not None}}

    def named(self, problem: Problem, control: object) -> Problem:
        """The same problem, with the name of the variable if its value comes from one."""
        said = control if isinstance(control, Mapping) else {"address": control}
        key = problem.place.removeprefix("control.")
        is_ours = problem.place.startswith("control.") and key in self._values and said.get(key) is None
        return replace(problem, place=PREFIX + key.upper()) if is_ours else problem


def _unknown(name: str) -> Problem:
    near = nearest(name.removeprefix(PREFIX), tuple(VARIABLES.values()))
    fix = f"did you mean {PREFIX}{near.upper()}?" if near else f"choose from {listed(VARIABLES)}"
    return Problem(name, "there is no such variable", fix)
