"""The launcher: starts every local task of a cluster, shows their output, and ends them together.

It imports no TensorFlow. No process manager (honcho, supervisor) does its work: they know no chief for whose end the
others wait, and none of them takes along what a task has left running.
"""

from autodist_saved.launch.launcher import launch

__all__ = ["launch"]
