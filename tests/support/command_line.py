"""The command line in the test's own process, from the arguments to the exit status."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from autodist_saved.cli.main import main

HEAVY = {"fsspec", "google.protobuf", "grpc", "keras", "numpy", "pandas", "tensorflow", "upath", "yaml"}
"""What takes long to import, so that no command imports it without need. Typer itself imports pydantic."""


@dataclass(frozen=True)
class Done:
    """What a command has left: its exit status, and what it has said."""

    status: int
    stdout: str
    stderr: str

    @property
    def told(self) -> Any:
        """What it has printed, which is one JSON document and nothing else."""
        return json.loads(self.stdout)


def run(*arguments: str | Path) -> Done:
    """Run it as the program does. Raises whatever would end that with a traceback."""
    stdout, stderr = io.StringIO(), io.StringIO()
    status = 0
    with (
        patch("sys.argv", ["autodist-saved", *map(str, arguments)]),
        redirect_stdout(stdout),
        redirect_stderr(stderr),
    ):
        try:
            main()
        except SystemExit as ended:
            status = int(ended.code or 0)
    return Done(status, stdout.getvalue(), stderr.getvalue())


def heavy_imports(*arguments: str | Path) -> set[str]:
    """Those of :data:`HEAVY` that a command imports, in a process of its own. Raises what ends it with an error."""
    code = (
        f"import sys; sys.argv[1:] = {[*map(str, arguments)]}\n"
        "from autodist_saved.cli.main import main\n"
        "try: main()\n"
        f"finally: print(*sorted({HEAVY} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())
