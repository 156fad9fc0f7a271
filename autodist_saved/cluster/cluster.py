"""The cluster of a job: its tasks, their addresses, its chief."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from autodist_saved.cluster.address import Address, is_loopback
from autodist_saved.cluster.control_files import ControlFiles
from autodist_saved.cluster.description import description_problems
from autodist_saved.cluster.machine import is_this_machine
from autodist_saved.cluster.ports import free_ports
from autodist_saved.cluster.task import TASK_TYPES, TRAINERS, Task
from autodist_saved.cluster.tf_config import read_tf_config, write_tf_config
from autodist_saved.cluster.wording import listed
from autodist_saved.cluster.yaml_file import read_yaml_file
from autodist_saved.errors import ClusterConfigError, Problem, UsageError, WrongTaskError

_FREE_PORTS_FIX = (
    "start the job with `autodist-saved launch`, which chooses the ports, or call Cluster.with_free_ports() "
    "once and hand its tf_config(task) to every task"
)


@dataclass(frozen=True)
class Cluster:
    """The tasks of one job. The constructor checks them and reports all problems in one error.

    Attributes:
        addresses: for each job, the ``host:port`` of its tasks in task order. With port 0 the launcher chooses a
            port; only loopback hosts may have it.
        task: the task this process is; None in a launcher, which is no task.
        control: ``host:port`` of the chief's control service, if the description gives it.
            :attr:`control_address` is the one in use.
        control_files: files with which tasks authenticate on the control service. It does not start without them
            unless its address is loopback. Relative paths start at the working directory.

    Raises:
        ClusterConfigError: the description breaks a rule; names all that it breaks.
    """

    addresses: Mapping[str, tuple[str, ...]]
    task: Task | None = None
    control: str | None = None
    control_files: ControlFiles = field(default_factory=ControlFiles)

    def __post_init__(self) -> None:
        control = self.control_files.beside(self.control)
        if problems := description_problems(self.addresses, self.task, control):
            raise ClusterConfigError("the cluster is wrong", problems=problems)
        ordered = {job: tuple(self.addresses[job]) for job in TASK_TYPES if job in self.addresses}
        object.__setattr__(self, "addresses", ordered)
        object.__setattr__(self, "control_files", self.control_files.below(Path.cwd()))

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str], *, task: Task | str | None = None) -> Cluster:
        """Read a cluster file. The documentation and ``cluster_configs/`` show the format.

        Args:
            path: the file, in UTF-8.
            task: the task this process is, such as ``"worker:0"``; replaces the file's own ``task``. A cluster of a
                single task needs none.

        Raises:
            ClusterConfigError: the file is not readable or describes no usable cluster.
        """
        cluster = cls(*read_yaml_file(Path(path), task=task))
        return cluster.for_task(cluster.chief) if cluster.task is None and cluster.is_single else cluster

    @classmethod
    def from_tf_config(cls, environ: Mapping[str, str] | None = None) -> Cluster:
        """Read ``TF_CONFIG``. Without it, or without a cluster in it, this process is the whole job.

        Beside TensorFlow's own keys, ``control`` may give the address of the chief's control service, or a
        mapping with its address and files, as in a cluster file. What it does not say, the variables
        ``AUTODIST_SAVED_CONTROL_ADDRESS``, ``_TOKEN_FILE``, ``_CERTIFICATE``, ``_KEY`` and ``_AUTHORITY`` say. Other
        keys, such as ``environment`` and ``rpc_layer``, belong to other tools and are ignored.

        Args:
            environ: the environment that holds ``TF_CONFIG``; this process's own by default.

        Raises:
            ClusterConfigError: ``TF_CONFIG`` is not JSON or describes no usable cluster.
        """
        environ = os.environ if environ is None else environ
        text = environ.get("TF_CONFIG")
        described = None if text is None else read_tf_config(text, environ)
        return cls.single() if described is None else cls(*described)

    @classmethod
    def local(cls, ps: int = 2, workers: int = 1, chief: bool = False) -> Cluster:
        """A cluster on free loopback ports, for tests and experiments.

        Raises:
            ClusterConfigError: a number is negative, or no task is left that trains.
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
        """Only this process, as ``worker:0``. It runs no server, so it never needs a port."""
        return cls({"worker": ("localhost:0",)}, Task("worker", 0))

    @property
    def tasks(self) -> tuple[Task, ...]:
        """All tasks: chief or master, workers, parameter servers, evaluator."""
        return tuple(Task(job, index) for job, row in self.addresses.items() for index in range(len(row)))

    @property
    def chief(self) -> Task:
        """The task that exports: the chief or master if there is one, else worker 0."""
        return next(task for task in self.tasks if task.type in TRAINERS)

    @property
    def is_chief(self) -> bool:
        """Whether this process is the chief.

        Raises:
            UsageError: :attr:`task` is None.
        """
        return self._own_task() == self.chief

    @property
    def is_single(self) -> bool:
        """Whether the cluster has only one task, which then needs neither servers nor a control service."""
        return len(self.tasks) == 1

    def address(self, task: Task) -> str:
        """``host:port`` of a task.

        Raises:
            ClusterConfigError: the cluster has no such task, or its port is not chosen yet.
        """
        row = self.addresses.get(task.type, ())
        if not 0 <= task.index < len(row):
            fix = f"choose from {listed(self.tasks)}"
            problem = Problem(f"task {task}", "the cluster has no such task", fix)
            raise ClusterConfigError("a task has no address", problems=[problem])
        return _settled(f"task {task}", row[task.index])

    @property
    def host_port(self) -> str:
        """``host:port`` of this process.

        Raises:
            UsageError: :attr:`task` is None.
            ClusterConfigError: the port is not chosen yet, or this is an evaluator outside the cluster.
        """
        return self.address(self._own_task())

    @property
    def control_address(self) -> str | None:
        """``host:port`` of the chief's control service; None for a single task.

        Unless :attr:`control` gives it, it is the chief's host with the port after the highest that the cluster
        uses there. So every task computes the same address.

        Raises:
            ClusterConfigError: a port that it depends on is not chosen yet.
        """
        if self.is_single:
            return None
        if self.control is not None:
            return _settled("control", self.control)
        chief = self._parsed(self.chief)
        neighbours = [text for text in self._texts() if Address.of(text).machine == chief.machine]
        ports = [Address.of(_settled("control", text)).port for text in neighbours]
        return f"{chief.host}:{max(ports) + 1}"

    @property
    def control_host(self) -> str:
        """The host in :attr:`control_address`, without brackets; ``localhost`` for a single task."""
        address = self.control_address
        return "localhost" if address is None else Address.of(address).host.strip("[]")

    @property
    def control_is_exposed(self) -> bool:
        """Whether other machines may be able to reach the control service. Looks up no name."""
        address = self.control_address
        return address is not None and not is_loopback(Address.of(address).host)

    @property
    def needs_free_ports(self) -> bool:
        """Whether a port is not chosen yet. :meth:`with_free_ports` chooses it."""
        return any(Address.of(text).port == 0 for text in self._texts())

    def for_task(self, task: Task | str) -> Cluster:
        """The same cluster as seen by another of its tasks.

        Raises:
            ClusterConfigError: the cluster has no such task.
        """
        return replace(self, task=Task.parse(task) if isinstance(task, str) else task)

    def with_free_ports(self) -> Cluster:
        """The same cluster with a free port in place of every port 0. Returns itself if it has no port 0.

        The launcher calls it once, before it starts the tasks. A cluster whose hosts are all loopback gets a
        ``control`` address too. The ports are free when this returns; nothing reserves them after that.
        """
        if not self.needs_free_ports:
            return self
        control, addresses = self.control, [Address.of(text) for text in self._texts()]
        if control is None and not self.is_single and all(is_loopback(each.host) for each in addresses):
            control = f"{self._parsed(self.chief).host}:0"
        with free_ports(taken={address.port for address in addresses}) as choose:

            def settle(text: str) -> str:
                host, port = Address.of(text)
                return text if port else f"{host}:{choose(host)}"

            rows = {job: tuple(settle(text) for text in row) for job, row in self.addresses.items()}
            return replace(self, addresses=rows, control=None if control is None else settle(control))

    def local_tasks(self) -> tuple[Task, ...]:
        """The tasks whose host is this machine: those that a launcher here starts.

        Looks up names that are neither loopback nor this machine's own.
        """
        hosts = {task: self._parsed(task).host for task in self.tasks}
        here = {host for host in set(hosts.values()) if is_this_machine(host)}
        return tuple(task for task, host in hosts.items() if host in here)

    def tf_config(self, task: Task) -> str:
        """The JSON text of ``TF_CONFIG`` for a task, with ``control``. A launcher sets it.

        Raises:
            ClusterConfigError: the cluster has no such task, or a port is not chosen yet.
        """
        mine = self.for_task(task)
        for each in mine.tasks:
            mine.address(each)
        return write_tf_config(mine.addresses, task, mine.control_address, mine.control_files)

    @contextlib.contextmanager
    def device_scope(self) -> Iterator[None]:
        """Build the model in this scope: it places variables on the parameter servers and all other ops on this task.

        The chief and every worker enter it, inside the graph. It places each piece of a partitioned variable by
        itself, on the parameter server with the fewest bytes. Tasks that build the same graph place it equally.
        Does nothing on a single task and on an evaluator.

        Raises:
            WrongTaskError: this process is a parameter server.
            UsageError: entered outside a graph, or :attr:`task` is None.
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
        # Imports TensorFlow, which launchers and command lines do not need.
        from autodist_saved.cluster.placement import placed

        with placed(task.device, ps_count=len(self.addresses.get("ps", ()))):
            yield

    def _own_task(self) -> Task:
        if self.task is None:
            raise UsageError(
                "the cluster does not say which task this process is; use Cluster.for_task(task), "
                "Cluster.from_yaml(path, task=...) or Cluster.from_tf_config()"
            )
        return self.task

    def _parsed(self, task: Task) -> Address:
        return Address.of(self.addresses[task.type][task.index])

    def _texts(self) -> list[str]:
        texts = [text for row in self.addresses.values() for text in row]
        return texts if self.control is None else [*texts, self.control]


def _settled(place: str, text: str) -> str:
    if Address.of(text).port == 0:
        problem = Problem(place, f"the port of {text} is not chosen yet", _FREE_PORTS_FIX)
        raise ClusterConfigError("an address is not known", problems=[problem])
    return text
