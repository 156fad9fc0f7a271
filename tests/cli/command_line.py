"""The command line in the test's own process, from the arguments to the exit status."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from autodist_saved.cli.main import main


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
