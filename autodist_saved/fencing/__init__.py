"""Makes a parameter server deaf to all but the live tasks of its job, by the connections of its own process.

TensorFlow's server has no list of whom it serves. But it runs in the parameter server's own process, so its
connections are that process's descriptors, and the kernel lets the process filter and end them.
"""

from __future__ import annotations

from autodist_saved.fencing.endpoint import Endpoint
from autodist_saved.fencing.fence import Fence
from autodist_saved.fencing.fence_error import FenceError
from autodist_saved.fencing.process_sockets import endpoints_to

__all__ = ["Endpoint", "Fence", "FenceError", "endpoints_to"]
