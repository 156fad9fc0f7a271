"""Runs pages as a reader does: files are written, programs and commands run in the order of the page.

A page's programs are one program. Each page runs in a process of its own, forked off one that has imported TensorFlow
and has done nothing with it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from pathlib import Path

from tests.documentation.page import DOCS, ROOT, block, blocks, environment

STATUS = {"diff": 1}
"""With which commands of ours end on the pages, where that is not 0."""


class PageRunner:
    """The process that forks, until :meth:`end`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.documentation.page_runner"],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, page: Path, folder: Path) -> str:
        """What a page prints in this folder. Fails where it fails."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([str(page), str(folder)]) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        output = (folder / "output.log").read_text()
        assert status == 0, f"{page} ended with {status}:\n{output}"
        return output

    def end(self) -> None:
        self._process.communicate()


def _run(page: Path, folder: Path) -> None:
    (folder / "model.py").write_text(block(DOCS / "tutorial.md", "model.py").text)
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    namespace = {"__name__": "__main__"}
    for one in blocks(page):
        if one.is_file:
            (folder / one.title).write_text(one.text)
        elif one.language == "python":
            exec(compile(one.text, str(page), "exec"), namespace)  # noqa: S102 - that is what it is for
        elif one.language == "sh" and not one.title:
            for command in one.commands:
                done = subprocess.run(["bash", "-c", command], check=False)
                wanted = STATUS.get(command.split()[1], 0)
                if done.returncode != wanted:
                    sys.exit(f"{command}: status {done.returncode}")


def _run_child(page: Path, folder: Path) -> None:
    log = os.open(folder / "output.log", os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    status = 1
    try:
        _run(page, folder)
        status = 0
    except BaseException:  # noqa: BLE001 - the reader sees it, whatever it is
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def main() -> None:
    import tensorflow  # noqa: F401 - once for all pages

    for line in sys.stdin:
        page, folder = map(Path, json.loads(line))
        child = os.fork()
        if child == 0:
            _run_child(page, folder)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
