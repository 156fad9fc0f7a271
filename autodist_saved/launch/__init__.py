"""The launcher: start every local task of a cluster, show what they say, and end them together.

Importing it loads no TensorFlow.
"""

from autodist_saved.launch.launcher import launch

__all__ = ["launch"]
