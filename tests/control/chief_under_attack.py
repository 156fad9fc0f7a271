"""A chief of several jobs in a process of its own, which tells on standard output how it is.

Its arguments are the ``TF_CONFIG`` of the chief in each job. For every line on standard input it writes one of JSON:
for each job, the state of every member with the number of its stream; threads of Python's, and those of them that no
pool keeps for later; resident bytes; and open files.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from pathlib import Path

from autodist_saved.cluster import Cluster
from autodist_saved.control.chief_service import ChiefService

if __name__ == "__main__":
    logging.basicConfig(level="INFO")
    servers = [ChiefService(Cluster.from_tf_config({"TF_CONFIG": text})) for text in sys.argv[1:]]
    for server in servers:
        server.start()
    for _ in sys.stdin:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        health = {
            "members": [
                {task: [row.member.state.value, id(row.stream)] for task, row in server._table._rows.items()}
                for server in servers
            ],
            "threads": threading.active_count(),
            "busy": sum(frame.f_code.co_name != "_worker" for frame in sys._current_frames().values()),
            "resident": pages * os.sysconf("SC_PAGE_SIZE"),
            "files": sum(1 for _ in Path("/proc/self/fd").iterdir()),
        }
        sys.stdout.write(json.dumps(health) + "\n")
        sys.stdout.flush()
