"""The cluster file: the tasks of a job in YAML."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from autodist_saved.cluster.description import ClusterDescription, read_description
from autodist_saved.cluster.task import Task
from autodist_saved.cluster.wording import kind
from autodist_saved.errors import ClusterConfigError, Problem


def read_yaml_file(path: Path, *, task: Task | str | None = None) -> ClusterDescription:
    """Parse a cluster file. ``Cluster.from_yaml`` has the details.

    Args:
        path: the file, in UTF-8.
        task: the task this process is; replaces the file's own ``task``.

    Raises:
        ClusterConfigError: the file is not readable or describes no usable cluster.
    """
    return read_description(_parsed(path), str(path), path=str(path), folder=path.absolute().parent, task=task)


class _Loader(yaml.SafeLoader):
    """The safe loader, made to refuse duplicate keys. PyYAML drops the first of two without a warning."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                twice = f"the key {key.value!r} is there already"
                raise yaml.constructor.ConstructorError(None, None, twice, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _parsed(path: Path) -> Mapping[str, Any]:
    """The top-level mapping of a cluster file. Raises ``ClusterConfigError`` if there is none."""
    mapping_fix = "begin with `cluster:`, as the files in cluster_configs/ do"
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - it is a SafeLoader
    except FileNotFoundError:
        problem = Problem(str(path), "there is no such file", f"check the path; it is read from {Path.cwd()}")
    except IsADirectoryError:
        problem = Problem(str(path), "it is a directory", "give the path of a cluster file in it")
    except OSError as error:
        problem = Problem(str(path), f"it cannot be read: {error.strerror}", "check who may read it")
    except UnicodeDecodeError as error:
        problem = Problem(f"{path}, byte {error.start}", "it is not UTF-8 text", "save the file as UTF-8")
    except yaml.constructor.ConstructorError as error:
        problem = Problem(_marked(path, error), str(error.problem), "write plain values without tags, each key once")
    except yaml.MarkedYAMLError as error:
        what = f"it is not YAML: {error.problem or error.context}"
        problem = Problem(_marked(path, error), what, 'check indentation and brackets; quote "[::1]:2222"')
    except yaml.YAMLError as error:
        problem = Problem(str(path), f"it is not YAML: {' '.join(str(error).split())}", mapping_fix)
    except (ValueError, LookupError, AttributeError, RecursionError) as error:  # PyYAML's, for values like 2001-99-99
        problem = Problem(
            str(path), f"a value in it cannot be read: {error}", "write plain values: names and numbers"
        )
    else:
        if isinstance(content, dict):
            return content
        what = "it is empty" if content is None else f"its top level is {kind(content)}, not a mapping"
        problem = Problem(str(path), what, mapping_fix)
    raise ClusterConfigError(f"{path} describes no cluster", problems=[problem], path=str(path))


def _marked(path: Path, error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    return str(path) if mark is None else f"{path}, line {mark.line + 1}, column {mark.column + 1}"
