"""The tasks of a job: who they are, where they listen, and which of them this process is.

Reading a cluster loads no TensorFlow; only :meth:`Cluster.device_scope` does.
"""

from __future__ import annotations

import contextlib
import difflib
import ipaddress
import json
import os
import re
import socket
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import yaml

from autodist_saved.errors import ClusterConfigError, Problem, UsageError, WrongTaskError

# The order of Cluster.tasks.
_JOBS = ("chief", "master", "worker", "ps", "evaluator")
_TRAINERS = ("chief", "master", "worker")
_HIGHEST_PORT = 65535
_ADDRESS_FIX = 'write it as "host:port", such as "trainer-0.example.com:2222"'
_FREE_PORTS_FIX = (
    "start the job with `autodist-saved launch`, which chooses the ports, or call Cluster.with_free_ports() "
    "once and hand its tf_config(task) to every task"
)


@dataclass(frozen=True)
class Task:
    """One process of a job, such as ``ps:0``.

    Attributes:
        type: ``chief``, ``master``, ``worker``, ``ps`` or ``evaluator``.
        index: position among the tasks of this type, from 0.
    """

    type: str
    index: int

    def __str__(self) -> str:
        return f"{self.type}:{self.index}"

    @classmethod
    def parse(cls, text: str) -> Task:
        """Read ``ps:0``. Whether a cluster has such a task is for the cluster to say.

        Raises:
            ClusterConfigError: the text does not have this form.
        """
        match = re.fullmatch(r"(\w+):(-?[0-9]+)", text)
        if match is None:
            problem = Problem("task", f"{text!r} names no task", "write TYPE:INDEX, such as worker:0")
            raise ClusterConfigError("a task cannot be read", problems=[problem])
        return cls(match[1], int(match[2]))

    @property
    def device(self) -> str:
        """The task's TensorFlow device, such as ``/job:ps/task:0``."""
        return f"/job:{self.type}/task:{self.index}"


class _Address(NamedTuple):
    """``host:port`` taken apart. An IPv6 host keeps its brackets."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        if self.host.lower() in ("localhost", "ip6-localhost"):
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False

    @property
    def machine(self) -> str:
        """Equal for two hosts that are surely one machine, such as ``localhost`` and ``127.0.0.1``."""
        return "localhost" if self.is_loopback else self.host.lower()

    @property
    def listener(self) -> tuple[str, int]:
        """Machine and port: what only one task can have, unless the port is still to be chosen."""
        return self.machine, self.port


@dataclass(frozen=True)
class Cluster:
    """The tasks of one job. Checked when made, however it is made; all problems are reported at once.

    Attributes:
        addresses: for each job, the ``host:port`` of its tasks in task order. Port 0 stands for a port that
            is chosen when the job is launched; only loopback hosts may have it.
        task: the task this process is; None where that is not said, as in a launcher.
        control: ``host:port`` of the chief's control service where it is given; see
            :attr:`control_address` for the one in use.

    Raises:
        ClusterConfigError: the description is wrong.
    """

    addresses: Mapping[str, tuple[str, ...]]
    task: Task | None = None
    control: str | None = None

    def __post_init__(self) -> None:
        if problems := _cluster_problems(self.addresses, self.task, self.control):
            raise ClusterConfigError("the cluster is wrong", problems=problems)
        ordered = {job: tuple(self.addresses[job]) for job in _JOBS if job in self.addresses}
        object.__setattr__(self, "addresses", ordered)

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str], *, task: Task | str | None = None) -> Cluster:
        """Read a cluster file; ``docs`` and ``cluster_configs/`` show the format.

        Args:
            path: the file, in UTF-8.
            task: the task this process is, such as ``"worker:0"``; goes before the file's own ``task``. In a
                cluster of a single task it need not be said.

        Raises:
            ClusterConfigError: the file cannot be read or describes no usable cluster.
        """
        return _described(_read_yaml(Path(path)), source=str(path), path=str(path), task=task)

    @classmethod
    def from_tf_config(cls, environ: Mapping[str, str] | None = None) -> Cluster:
        """Read ``TF_CONFIG``. Without it, or without a cluster in it, the process is on its own.

        Beside TensorFlow's own keys, ``control`` may give the address of the chief's control service. Keys
        that other tools put there (``environment``, ``rpc_layer``) are left alone.

        Args:
            environ: where to look ``TF_CONFIG`` up; the process environment by default.

        Raises:
            ClusterConfigError: ``TF_CONFIG`` is no JSON or describes no usable cluster.
        """
        text = (os.environ if environ is None else environ).get("TF_CONFIG")
        if text is None:
            return cls.single()
        config = _read_json(text)
        if config.get("cluster", {}) == {}:
            return cls.single()
        known = {key: config[key] for key in ("cluster", "task", "control") if key in config}
        return _described(known, source="TF_CONFIG", needs_task=True)

    @classmethod
    def local(cls, ps: int = 2, workers: int = 1, chief: bool = False) -> Cluster:
        """A cluster on free loopback ports, for tests and for trying things out.

        Raises:
            ClusterConfigError: a number is negative, or nobody is left to train.
        """
        counts = {"chief": int(chief), "worker": workers, "ps": ps}
        if problems := [
            Problem(f"Cluster.local, {job}", f"{count} is no number of tasks", "give 0 or more")
            for job, count in counts.items()
            if count < 0
        ]:
            raise ClusterConfigError("the cluster is wrong", problems=problems)
        addresses = {job: ("localhost:0",) * count for job, count in counts.items() if count}
        return cls(addresses).with_free_ports()

    @classmethod
    def single(cls) -> Cluster:
        """Only this process, as ``worker:0``. It needs no server, so its port is never chosen."""
        return cls({"worker": ("localhost:0",)}, Task("worker", 0))

    @property
    def tasks(self) -> tuple[Task, ...]:
        """All tasks: chief or master, workers, parameter servers, evaluator."""
        return tuple(Task(job, index) for job, row in self.addresses.items() for index in range(len(row)))

    @property
    def chief(self) -> Task:
        """The task that exports: the chief or master if there is one, else worker 0."""
        return next(task for task in self.tasks if task.type in _TRAINERS)

    @property
    def is_chief(self) -> bool:
        """Whether this process is the chief.

        Raises:
            UsageError: the cluster does not say which task this process is.
        """
        return self._own_task() == self.chief

    @property
    def is_single(self) -> bool:
        """Whether the cluster has only one task, so that nobody has to be talked to."""
        return len(self.tasks) == 1

    def address(self, task: Task) -> str:
        """``host:port`` of a task.

        Raises:
            ClusterConfigError: there is no such task, or its port is not chosen yet.
        """
        row = self.addresses.get(task.type, ())
        if not 0 <= task.index < len(row):
            problem = Problem(
                f"task {task}", "the cluster has no such task", f"choose from {_listed(self.tasks)}"
            )
            raise ClusterConfigError("a task has no address", problems=[problem])
        return _settled(f"task {task}", row[task.index])

    @property
    def host_port(self) -> str:
        """``host:port`` of this process.

        Raises:
            UsageError: the cluster does not say which task this process is.
            ClusterConfigError: the port is not chosen yet, or this is an evaluator outside the cluster.
        """
        return self.address(self._own_task())

    @property
    def control_address(self) -> str | None:
        """``host:port`` of the chief's control service; None for a single task.

        Unless ``control`` gives it, it is the chief's host with the first port above all that the cluster
        uses there, so that every task arrives at the same address without being told.

        Raises:
            ClusterConfigError: a port it depends on is not chosen yet.
        """
        if self.is_single:
            return None
        if self.control is not None:
            return _settled("control", self.control)
        chief = _parsed(self.addresses[self.chief.type][self.chief.index])
        neighbours = [text for text in self._texts() if _parsed(text).machine == chief.machine]
        ports = [_parsed(_settled("control", text)).port for text in neighbours]
        return f"{chief.host}:{max(ports) + 1}"

    @property
    def needs_free_ports(self) -> bool:
        """Whether a port is still to be chosen; :meth:`with_free_ports` does so."""
        return any(_parsed(text).port == 0 for text in self._texts())

    def for_task(self, task: Task | str) -> Cluster:
        """The same cluster as seen by another of its tasks.

        Raises:
            ClusterConfigError: there is no such task.
        """
        return replace(self, task=Task.parse(task) if isinstance(task, str) else task)

    def with_free_ports(self) -> Cluster:
        """The same cluster with every port 0 replaced by a free one; unchanged if there is none.

        Called once, by whoever starts the tasks. A cluster that lives on loopback altogether gets a
        ``control`` address too. The ports are free when this returns; nothing reserves them any longer.
        """
        if not self.needs_free_ports:
            return self
        control, addresses = self.control, [_parsed(text) for text in self._texts()]
        if control is None and not self.is_single and all(address.is_loopback for address in addresses):
            control = f"{_parsed(self.addresses[self.chief.type][0]).host}:0"
        taken = {address.port for address in addresses}
        # All sockets stay open until the last port is known, lest one port be given out twice.
        with contextlib.ExitStack() as held:

            def settle(text: str) -> str:
                host, port = _parsed(text)
                return text if port else f"{host}:{_free_port(host, taken, held)}"

            rows = {job: tuple(settle(text) for text in row) for job, row in self.addresses.items()}
            return replace(self, addresses=rows, control=None if control is None else settle(control))

    def local_tasks(self) -> tuple[Task, ...]:
        """The tasks whose host is this machine: those that a launcher running here has to start.

        Names that are neither loopback nor this machine's own are looked up.
        """
        hosts = {_parsed(text).host for row in self.addresses.values() for text in row}
        here = {host for host in hosts if _is_this_machine(host)}
        return tuple(
            task for task in self.tasks if _parsed(self.addresses[task.type][task.index]).host in here
        )

    def tf_config(self, task: Task) -> str:
        """The JSON text of ``TF_CONFIG`` for a task, ``control`` included; what a launcher sets.

        Raises:
            ClusterConfigError: there is no such task, or a port is not chosen yet.
        """
        mine = self.for_task(task)
        for each in mine.tasks:
            mine.address(each)
        config: dict[str, object] = {
            "cluster": mine.addresses,
            "task": {"type": task.type, "index": task.index},
        }
        if (control := mine.control_address) is not None:
            config["control"] = control
        return json.dumps(config)

    @contextlib.contextmanager
    def device_scope(self) -> Iterator[None]:
        """Where a model is built: variables go to the parameter servers, all else to this process's task.

        Entered by the chief and by every worker, inside the graph. Every piece of a partitioned variable
        is placed on its own, on the parameter server with the fewest bytes; tasks that build the same graph
        arrive at the same places. Does nothing in a process that has nobody to talk to (a single task, an
        evaluator).

        Raises:
            WrongTaskError: this process is a parameter server.
            UsageError: entered outside a graph, or the cluster does not say which task this process is.
        """
        task = self._own_task()
        if task.type == "ps":
            raise WrongTaskError(
                "device_scope() was entered on a parameter server, which builds no graph; "
                "call autodist_saved.serve(cluster) and end the program when it returns",
                task=str(task),
            )
        if self.is_single or task.type == "evaluator":
            yield
            return
        # Loads TensorFlow, which launchers and command lines have no use for.
        from autodist_saved.placement import placed

        with placed(self):
            yield

    def _own_task(self) -> Task:
        if self.task is None:
            raise UsageError(
                "the cluster does not say which task this process is; use Cluster.for_task(task), "
                "Cluster.from_yaml(path, task=...) or Cluster.from_tf_config()"
            )
        return self.task

    def _texts(self) -> list[str]:
        texts = [text for row in self.addresses.values() for text in row]
        return texts if self.control is None else [*texts, self.control]


# ---- reading -------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """The safe loader, which by itself would drop the first of two jobs of one name without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                twice = f"the key {key.value!r} is there already"
                raise yaml.constructor.ConstructorError(None, None, twice, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _read_yaml(path: Path) -> Mapping[str, Any]:
    """The top-level mapping of a cluster file. Raises ClusterConfigError for whatever is in its way."""
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
        problem = Problem(
            _marked(path, error), str(error.problem), "write plain values without tags, each key once"
        )
    except yaml.MarkedYAMLError as error:
        what = f"it is not YAML: {error.problem or error.context}"
        problem = Problem(_marked(path, error), what, 'check indentation and brackets; quote "[::1]:2222"')
    except yaml.YAMLError as error:
        problem = Problem(str(path), f"it is not YAML: {' '.join(str(error).split())}", mapping_fix)
    else:
        if isinstance(content, dict):
            return content
        what = "it is empty" if content is None else f"its top level is {_kind(content)}, not a mapping"
        problem = Problem(str(path), what, mapping_fix)
    raise ClusterConfigError(f"{path} describes no cluster", problems=[problem], path=str(path))


def _marked(path: Path, error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    return str(path) if mark is None else f"{path}, line {mark.line + 1}, column {mark.column + 1}"


def _read_json(text: str) -> Mapping[str, Any]:
    fix = 'set it to a JSON object such as {"cluster": {...}, "task": {...}}, or unset it'
    try:
        config = json.loads(text)
    except json.JSONDecodeError as error:
        place = f"TF_CONFIG, line {error.lineno}, column {error.colno}"
        problem = Problem(place, f"it is not JSON: {error.msg}", fix)
    else:
        if isinstance(config, dict):
            return config
        problem = Problem("TF_CONFIG", f"it is {_kind(config)}, not an object", fix)
    raise ClusterConfigError("TF_CONFIG describes no cluster", problems=[problem])


def _described(
    config: Mapping[str, Any],
    *,
    source: str,
    path: str | None = None,
    task: Task | str | None = None,
    needs_task: bool = False,
) -> Cluster:
    """The cluster that a parsed file or TF_CONFIG describes; problems of form and of sense in one error."""
    problems = _unknown_keys("", config, ("cluster", "task", "control"))
    own: Task | None = None
    try:
        if task is not None:
            own = Task.parse(task) if isinstance(task, str) else task
        elif needs_task or config.get("task") is not None:
            own = _described_task(config.get("task"))
    except ClusterConfigError as error:
        problems += error.problems
    problems += _cluster_problems(config.get("cluster"), own, config.get("control"))
    if problems:
        raise ClusterConfigError(f"{source} describes no usable cluster", problems=problems, path=path)
    cluster = Cluster(config["cluster"], own, config.get("control"))
    return cluster.for_task(cluster.chief) if own is None and cluster.is_single else cluster


def _described_task(described: object) -> Task:
    """The ``task`` of a file or of TF_CONFIG. Whether the cluster has it is checked with the cluster."""
    fix = "say which task this process is, such as {type: worker, index: 0}"
    if described is None:
        problems = [Problem("task", "it is missing", fix)]
    elif not isinstance(described, Mapping):
        problems = [Problem("task", f"it is {_kind(described)}, not a mapping", fix)]
    else:
        problems = _unknown_keys("task.", described, ("type", "index"))
        problems += [
            Problem(f"task.{key}", "it is missing", fix) for key in ("type", "index") if key not in described
        ]
        if not problems:
            return Task(described["type"], described["index"])
    raise ClusterConfigError("the task cannot be read", problems=problems)


# ---- checking ------------------------------------------------------------------------------------------
# Input comes from files and environments, so nothing is taken to have the type it ought to have.


def _cluster_problems(addresses: object, task: Task | None, control: object) -> list[Problem]:
    """Everything that is wrong with a cluster, in the order in which a reader meets it."""
    fix = 'write each job with its addresses, such as worker: ["localhost:2222"]'
    if addresses is None:
        return [Problem("cluster", "it is missing", fix)]
    if not isinstance(addresses, Mapping):
        return [Problem("cluster", f"it is {_kind(addresses)}, not a mapping", fix)]
    problems = _job_problems(addresses)
    known: dict[str, _Address] = {}
    places: dict[tuple[str, int], str] = {}
    for job, row in addresses.items():
        for index, text in enumerate(row if _is_row(row) else ()):
            place = f"cluster.{job}[{index}]"
            parsed = _parse(place, text)
            if isinstance(parsed, Problem):
                problems.append(parsed)
                continue
            known[place] = parsed
            twin = places.setdefault(parsed.listener, place)
            if twin != place and parsed.port:
                what = f"{text} is the address of {twin} already"
                problems.append(Problem(place, what, "give each task a port of its own"))
    if task is not None:
        problems += _task_problems(task, addresses)
    # Which job has the chief cannot be told while the name of one is misspelled.
    chief_job = next((job for job in _TRAINERS if job in addresses and addresses.keys() <= set(_JOBS)), None)
    problems += _control_problems(control, known, chief_job and f"cluster.{chief_job}[0]")
    return problems


def _job_problems(addresses: Mapping[object, object]) -> list[Problem]:
    problems = [problem for job, row in addresses.items() for problem in _row_problems(job, row)]
    meant = {str(job) if job in _JOBS else _near(str(job), _JOBS) for job in addresses}
    if not meant.intersection(_TRAINERS):
        alone = "the cluster has parameter servers and nobody to train" if "ps" in meant else "nobody trains"
        problems.append(Problem("cluster", alone, "add a worker, or a chief that trains by itself"))
    if {"chief", "master"} <= addresses.keys():
        both = "the cluster has a chief and a master; they are two names for one task"
        problems.append(Problem("cluster.master", both, "keep one of them"))
    return problems


def _row_problems(job: object, row: object) -> Iterator[Problem]:
    place = f"cluster.{job}"
    if job not in _JOBS:
        yield _unknown(place, str(job), _JOBS, "job")
    if not _is_row(row):
        fix = 'write a list, such as ["localhost:2222"]; its order numbers the tasks'
        yield Problem(place, f"it is {_kind(row)}, not a list of addresses", fix)
    elif not row:
        yield Problem(place, "the list is empty", "add an address, or leave the job out")
    elif job in ("chief", "master") and len(row) > 1:
        yield Problem(f"{place}[1]", f"there can be only one {job}", "make the others workers")


def _task_problems(task: Task, addresses: Mapping[object, object]) -> Iterator[Problem]:
    row = addresses.get(task.type) if isinstance(task.type, str) else None
    if task.type not in _JOBS:
        yield _unknown("task.type", str(task.type), _JOBS, "task type")
    # As in TensorFlow, an evaluator stands beside the cluster and is seldom part of it.
    elif row is None and task.type != "evaluator":
        have = _listed(job for job in addresses if job in _JOBS) or "no job at all"
        yield Problem("task.type", f"the cluster has no {task.type}", f"choose from {have}")
    if not isinstance(task.index, int) or isinstance(task.index, bool):
        what = f"{task.index!r} is {_kind(task.index)}, not a whole number"
        yield Problem("task.index", what, "write a number without quotes, counted from 0")
    elif task.index < 0:
        yield Problem("task.index", f"{task.index} is negative", "count the tasks of a job from 0")
    elif _is_row(row) and task.index >= len(row):
        what = f"the cluster has no {task.type}:{task.index}, only {len(row)} {task.type}"
        yield Problem("task.index", what, f"write 0 to {len(row) - 1}, or add an address")


def _control_problems(
    control: object, known: Mapping[str, _Address], chief_place: str | None
) -> Iterator[Problem]:
    chief = None if chief_place is None else known.get(chief_place)
    if control is None:
        if chief is None or len(known) == 1:
            return
        if max(other.port for other in known.values() if other.machine == chief.machine) == _HIGHEST_PORT:
            what = f"no port is left above {_HIGHEST_PORT} for the chief's control service"
            yield Problem("control", what, f'add control: "{chief.host}:PORT" with a free port')
        return
    parsed = _parse("control", control)
    if isinstance(parsed, Problem):
        yield parsed
        return
    twin = next((place for place, address in known.items() if address.listener == parsed.listener), None)
    if twin is not None and parsed.port:
        what = f"{control} is the address of {twin} already"
        yield Problem("control", what, "give the control service a port of its own")
    if chief is not None and parsed.machine != chief.machine:
        what = f"{parsed.host} is not the chief's host; {chief_place} is on {chief.host}"
        yield Problem("control", what, f'write "{chief.host}:{parsed.port}"; the chief runs this service')


def _parse(place: str, text: object) -> _Address | Problem:
    """An address taken apart, or what is wrong with it."""
    if not isinstance(text, str):
        return Problem(place, f"{text!r} is {_kind(text)}, not an address", _ADDRESS_FIX)
    host, colon, port = text.rpartition(":")
    if "/" in text:
        return Problem(place, f"{text!r} is a URL or a path, not an address", _ADDRESS_FIX)
    if not colon or text.endswith("]"):
        return Problem(place, f"{text!r} has no port", _ADDRESS_FIX)
    if re.fullmatch("-?[0-9]{1,99}", port) is None:
        return Problem(place, f"the port of {text!r} is not a number", _ADDRESS_FIX)
    if ":" in host and not host.startswith("["):
        return Problem(place, f"{text!r} has more than one colon", 'write an IPv6 host as "[::1]:2222"')
    if not _is_host(host):
        what = f"{host!r} is no host name" if host else f"{text!r} has no host"
        return Problem(place, what, _ADDRESS_FIX)
    address = _Address(host, int(port))
    if not 0 <= address.port <= _HIGHEST_PORT:
        return Problem(place, f"port {port} is out of range", f"choose one from 1 to {_HIGHEST_PORT}")
    if address.port == 0 and not address.is_loopback:
        what = f"port 0 (chosen when the job is launched) is for loopback hosts, and {host} is none"
        return Problem(place, what, f"choose a port from 1 to {_HIGHEST_PORT}")
    return address


def _is_host(host: str) -> bool:
    if not host.startswith("["):
        return re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?", host) is not None
    try:
        ipaddress.IPv6Address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return host.endswith("]")


def _is_row(row: object) -> TypeGuard[Sequence[object]]:
    return isinstance(row, list | tuple)


def _unknown_keys(prefix: str, mapping: Mapping[Any, object], known: Sequence[str]) -> list[Problem]:
    return [_unknown(f"{prefix}{key}", str(key), known, "key") for key in mapping if key not in known]


def _unknown(place: str, name: str, known: Sequence[str], kind: str) -> Problem:
    near = _near(name, known)
    fix = f"did you mean {near}?" if near else f"choose from {_listed(known)}"
    return Problem(place, f"{name!r} is no {kind}", fix)


def _near(name: str, known: Sequence[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name.lower(), known, n=1)), None)


def _kind(value: object) -> str:
    """What a parsed value is, in the words of its file."""
    kinds = {dict: "a mapping", list: "a list", str: "a text", int: "a number", type(None): "empty"}
    return kinds.get(type(value), f"a {type(value).__name__}")


def _listed(items: Iterable[object]) -> str:
    return ", ".join(str(item) for item in items)


# ---- addresses that have passed the checks --------------------------------------------------------------


def _parsed(text: str) -> _Address:
    host, _, port = text.rpartition(":")
    return _Address(host, int(port))


def _settled(place: str, text: str) -> str:
    if _parsed(text).port == 0:
        problem = Problem(place, f"the port of {text} is not chosen yet", _FREE_PORTS_FIX)
        raise ClusterConfigError("an address is not known", problems=[problem])
    return text


def _free_port(host: str, taken: set[int], held: contextlib.ExitStack) -> int:
    """A port that nobody has on this host and that is not in ``taken``, which it joins."""
    family, kind, protocol, _, where = socket.getaddrinfo(host.strip("[]"), 0, type=socket.SOCK_STREAM)[0]
    while True:
        bound = held.enter_context(socket.socket(family, kind, protocol))
        bound.bind(where)
        port: int = bound.getsockname()[1]
        if port not in taken:
            taken.add(port)
            return port


def _is_this_machine(host: str) -> bool:
    own_names = {socket.gethostname().lower(), socket.getfqdn().lower()}
    if _Address(host, 0).is_loopback or host.lower() in own_names:
        return True
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host.strip("[]"), 0, type=socket.SOCK_STREAM)[0]
        # An address can be bound on the machine that has it, and nowhere else.
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(where)
    except OSError:
        return False
    return True
