"""The launcher: starts every local task of a cluster, shows their output, and ends them together.

It imports no TensorFlow.
"""

from autodist_saved.launch.launcher import launch

__all__ = ["launch"]
