"""The cluster: the tasks of a job, where they listen, and which of them this process is.

Importing it and reading a cluster load no TensorFlow; only :meth:`Cluster.device_scope` does.
"""

from autodist_saved.cluster.cluster import Cluster
from autodist_saved.cluster.control_files import ControlFiles
from autodist_saved.cluster.task import Task

__all__ = ["Cluster", "ControlFiles", "Task"]
