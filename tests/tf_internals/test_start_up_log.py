"""What TensorFlow writes while it starts is told from all else, and shown where the import fails."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from autodist_saved.tf_internals.start_up_log import LEVEL, is_start_up_line

START_UP = """\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795997721.187783   15924 port.cc:153] oneDNN custom operations are on. You may see slightly different numerical results
I0000 00:00:1795997721.188143 15924 cudart_stub.cc:31] Could not find cuda drivers on your machine, GPU will not be used.
I0000 00:00:1795997721.188143   15924 cpu_feature_guard.cc:227] This TensorFlow binary is optimized to use available CPU instructions
W0000 00:00:1795997721.188143   15924 computation_placer.cc:177] computation placer already registered
E0000 00:00:1795997742.332349   15928 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error: Failed call to cuInit: UNKNOWN ERROR (303)
E0000 00:00:1795997742.332349   15928 cuda_platform.cc:52] failed call to cuInit: CUDA_ERROR_NO_DEVICE: no CUDA-capable device is detected
E0000 00:00:1795997742.332349   15928 cuda_fft.cc:477] Unable to register cuFFT factory: Attempting to register factory
""".splitlines()  # noqa: E501 - as they are
OTHERS = """\
E0000 00:00:1795997742.332349   15928 cuda_platform.cc:52] failed call to cuInit: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH: system has unsupported
E0000 00:00:1795997742.332349   15928 grpc_server.cc:40] Could not start gRPC server
F0000 00:00:1795997742.332349   15928 tensor.cc:40] Check failed: NDIMS == dims()
I1129 12:00:00.332349   15928 port.cc:153] after the log was initialized
WARNING: no checkpoint
worker:0:  51%|████████▊        | 296/575 [00:14<00:05]

""".splitlines()  # noqa: E501


@pytest.mark.parametrize("line", START_UP)
def test_lines_about_a_machine_where_nothing_is_wrong_are_hidden(line: str) -> None:
    assert is_start_up_line(line)


@pytest.mark.parametrize("line", OTHERS)
def test_all_other_lines_are_shown(line: str) -> None:
    assert not is_start_up_line(line)


def stderr_of(body: str, **environ: str) -> str:
    """What is shown of the standard error of a block in which TensorFlow is imported, such as ``body``."""
    code = f"""
import os
from autodist_saved.tf_internals.start_up_log import start_up_log_hidden
def native(line): os.write(2, (line + "\\n").encode())
with start_up_log_hidden():
    {body}
native("after")
"""
    inherited = {name: value for name, value in os.environ.items() if name != LEVEL}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**inherited, **environ})
    return done.stderr


def test_an_import_shows_none_of_them_and_all_others() -> None:
    assert stderr_of(f"native({START_UP[1]!r}); native('disk full')") == "disk full\nafter\n"


def test_an_import_that_fails_shows_all_of_them() -> None:
    shown = stderr_of(f"native({START_UP[1]!r}); import no_such_module")
    assert shown.startswith(f"{START_UP[1]}\nTraceback")


def test_who_sets_the_level_sees_all_of_them() -> None:
    assert stderr_of(f"native({START_UP[1]!r})", **{LEVEL: "0"}) == f"{START_UP[1]}\nafter\n"


@pytest.mark.slow
def test_tensorflow_itself_starts_without_a_line() -> None:
    assert stderr_of("import tensorflow") == "after\n"
