"""Where our copies of pieces are: in whose memory, and under which names."""

from __future__ import annotations

import hashlib
import os
import socket
import sys

import tensorflow as tf


def memory_of(device: str) -> str:
    """The ordinary memory of the task that owns ``device``, whatever accelerator that is."""
    return str(tf.DeviceSpec.from_string(device).replace(device_type="CPU", device_index=0).to_string())


def own_container() -> str:
    """A prefix for names on the parameter servers: another one for each task of a job, the same after a restart.

    Made of the environment, the machine and the command line, because the task is not told to a saver.

    Tasks build equal graphs, and copies of one must not be taken for those of another.
    """
    place = [os.environ.get("TF_CONFIG", ""), socket.gethostname(), *sys.argv]
    return hashlib.sha256("\0".join(place).encode(errors="surrogateescape")).hexdigest()[:8]
