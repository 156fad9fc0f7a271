"""``TF_CONFIG``, the environment variable in which TensorFlow's tools hand a process its cluster."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from autodist_saved.cluster.control_environment import ControlEnvironment
from autodist_saved.cluster.control_files import ControlFiles
from autodist_saved.cluster.description import ClusterDescription, read_description
from autodist_saved.cluster.schema import KEYS
from autodist_saved.cluster.task import Task
from autodist_saved.cluster.wording import kind
from autodist_saved.errors import ClusterConfigError, Problem


def read_tf_config(text: str, environ: Mapping[str, str]) -> ClusterDescription | None:
    """Parse ``TF_CONFIG``. Returns None if it holds no cluster. ``Cluster.from_tf_config`` has the details.

    Args:
        text: of ``TF_CONFIG``.
        environ: whose other variables complete ``control``.

    Raises:
        ClusterConfigError: it is not JSON or describes no usable cluster.
    """
    config = _parsed(text)
    if config.get("cluster", {}) == {}:
        return None
    variables, control = ControlEnvironment(environ), config.get("control")
    ours = {key: config[key] for key in KEYS if key in config} | {"control": variables.completed(control)}
    try:
        return read_description(ours, "TF_CONFIG", needs_task=True)
    except ClusterConfigError as error:
        problems = [variables.named(problem, control) for problem in error.problems]
        raise ClusterConfigError(error.message, problems=problems) from None


def write_tf_config(
    addresses: Mapping[str, tuple[str, ...]], task: Task, control: str | None, control_files: ControlFiles
) -> str:
    """The JSON text that :func:`read_tf_config` parses to the same description."""
    own = {"type": task.type, "index": task.index}
    config: dict[str, object] = {"cluster": addresses, "task": own}
    described = control_files.beside(control)
    return json.dumps(config if described is None else config | {"control": described})


def _parsed(text: str) -> Mapping[str, Any]:
    fix = 'set it to a JSON object such as {"cluster": {...}, "task": {...}}, or unset it'
    try:
        config = json.loads(text, object_pairs_hook=_each_key_once)
    except json.JSONDecodeError as error:
        place = f"TF_CONFIG, line {error.lineno}, column {error.colno}"
        problem = Problem(place, f"it is not JSON: {error.msg}", fix)
    except (ValueError, RecursionError) as error:
        problem = Problem("TF_CONFIG", f"a value in it cannot be read: {error}", fix)
    else:
        if isinstance(config, dict):
            return config
        problem = Problem("TF_CONFIG", f"it is {kind(config)}, not an object", fix)
    raise ClusterConfigError("TF_CONFIG describes no cluster", problems=[problem])


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A mapping that refuses duplicate keys. Python's parser drops the first of two without a warning."""
    found = dict(pairs)
    if len(found) < len(pairs):
        ((twice, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {twice!r} is there twice")
    return found
