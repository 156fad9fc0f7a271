"""The cluster: the tasks of a job, where they listen, and which of them this process is.

Nothing here imports TensorFlow but :meth:`Cluster.device_scope`: launchers and command lines need none.
"""

from autodist_saved.cluster.cluster import Cluster
from autodist_saved.cluster.control_files import ControlFiles
from autodist_saved.cluster.task import Task

__all__ = ["Cluster", "ControlFiles", "Task"]
