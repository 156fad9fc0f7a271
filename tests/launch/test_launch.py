"""``autodist-saved launch`` with real processes: what tasks get, what it shows, that no process stays behind."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autodist_saved.cluster import Cluster
from autodist_saved.errors import LaunchError
from autodist_saved.launch import launch
from autodist_saved.launch.running_tasks import SAME_SIGNAL_SECS
from tests.support.places import PROGRAM

PATIENCE_SECS = 60.0
FOR_EVER = "import time; time.sleep(1000)"
# Tells its task apart: every child of these tests knows who it is.
WHO = "import json, os, sys, time, signal; kind = json.loads(os.environ['TF_CONFIG'])['task']['type'];"


class Launcher:
    """A running ``autodist-saved launch``."""

    def __init__(self, *arguments: str | Path, environ: dict[str, str] | None = None, nohup: bool = False) -> None:
        self.process = subprocess.Popen(
            [*(["nohup"] if nohup else []), PROGRAM, "launch", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **(environ or {})},
        )
        self.lines: list[str] = []

    def read_until(self, pattern: str, times: int = 1) -> list[re.Match[str]]:
        """Wait until lines that match have been written this often."""
        found: list[re.Match[str]] = []
        while len(found) < times:
            line = self.process.stdout.readline()
            assert line, f"ended without {pattern!r}:\n" + "\n".join(self.lines)
            self.lines.append(line.rstrip("\n"))
            if match := re.search(pattern, line):
                found.append(match)
        return found

    def finish(self) -> int:
        output, _ = self.process.communicate(timeout=PATIENCE_SECS)
        self.lines += output.splitlines()
        return self.process.returncode

    def of(self, name: str) -> list[str]:
        """What a task wrote, without the prefix. Known after :meth:`finish`."""
        return [line.partition(" | ")[2] for line in self.lines if line.split(" ")[0] == name]


@pytest.fixture
def start() -> Iterator[Callable[..., Launcher]]:
    launchers: list[Launcher] = []

    def _start(*arguments: str | Path, **more: object) -> Launcher:
        launchers.append(Launcher(*arguments, **more))
        return launchers[-1]

    yield _start
    for launcher in launchers:
        with launcher.process as process:
            process.kill()
            process.stdout.close()


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., Path]:
    def _config(**counts: int) -> Path:
        path = tmp_path / "cluster.yaml"
        path.write_text(json.dumps({"cluster": {job: ["localhost:0"] * count for job, count in counts.items()}}))
        return path

    return _config


def python(code: str) -> list[str]:
    return ["--", sys.executable, "-c", code]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until_gone(pids: list[int]) -> None:
    """A killed process takes a moment to go, and only its parent gets an event."""
    deadline = time.monotonic() + PATIENCE_SECS
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline, f"still there: {[pid for pid in pids if is_alive(pid)]}"
        time.sleep(0.01)


# ---- what a task gets ------------------------------------------------------------------------------------


def test_every_task_learns_who_it_is_and_all_learn_of_one_cluster(start, config):
    job = start(config(chief=1, worker=2, ps=2), *python("import os; print(os.environ['TF_CONFIG'])"))
    assert job.finish() == 0
    names = ["chief:0", "worker:0", "worker:1", "ps:0", "ps:1"]
    configs = {name: json.loads(job.of(name)[0]) for name in names}
    assert {f"{c['task']['type']}:{c['task']['index']}" for c in configs.values()} == set(names)
    assert all(f"{c['task']['type']}:{c['task']['index']}" == name for name, c in configs.items())
    assert len({json.dumps(c["cluster"], sort_keys=True) for c in configs.values()}) == 1
    addresses = [address for row in configs["ps:0"]["cluster"].values() for address in row]
    assert len(set(addresses)) == 5
    assert not any(address.endswith(":0") for address in addresses)


def test_the_command_gets_its_arguments_untouched(start, config):
    arguments = ["--help", "-x", "--grace-secs=1", "--", "*", "two words", ""]
    job = start(config(worker=1), *python("import sys; print(sys.argv[1:])"), *arguments)
    assert job.finish() == 0
    assert job.of("worker:0") == [str(arguments)]


def test_output_is_unbuffered_and_quiet_unless_the_user_wants_it_otherwise(start, config):
    names = ["PYTHONUNBUFFERED", "COLUMNS", "TF_CPP_MIN_LOG_LEVEL", "MINE"]
    job = start(
        config(worker=1),
        *python(f"import os; print([os.environ.get(name) for name in {names}])"),
        environ={"TF_CPP_MIN_LOG_LEVEL": "0", "MINE": "kept"},
    )
    assert job.finish() == 0
    columns = os.environ.get("COLUMNS", "100")
    assert job.of("worker:0") == [str([os.environ.get("PYTHONUNBUFFERED", "1"), columns, "0", "kept"])]


def test_a_task_that_reads_its_input_finds_it_empty(start, config):
    job = start(config(worker=1), *python("import sys; print(repr(sys.stdin.read()))"))
    job.process.stdin.write("typed at the launcher")
    assert job.finish() == 0
    assert job.of("worker:0") == ["''"]


# ---- what is shown ---------------------------------------------------------------------------------------


def test_both_streams_come_out_in_whole_lines_behind_the_name(start, config):
    code = """
import os
for part in range(50):
    os.write(1, b"out "); os.write(2, b"err "); os.write(1, b"line\\n"); os.write(2, b"line\\n")
os.write(1, b"no end")
"""
    job = start(config(worker=2), *python(code))
    assert job.finish() == 0
    for name in ("worker:0", "worker:1"):
        assert sorted(job.of(name)) == ["err line"] * 50 + ["no end"] + ["out line"] * 50
    assert all(re.match(r"(worker:[01]|launch  ) \| ", line) for line in job.lines)


def test_long_lines_and_bytes_that_are_no_text_arrive(start, config):
    code = r"import os; os.write(1, b'x' * 30000 + b'\n\xff\xfe [red]caf\xc3\xa9[/]\n')"
    job = start(config(worker=1), *python(code))
    assert job.finish() == 0
    assert job.of("worker:0") == ["x" * 30000, r"\xff\xfe [red]café[/]"]


def test_what_a_locale_cannot_show_does_not_end_the_job(start, config):
    job = start(
        config(worker=1),
        *python(r"import os; os.write(1, b'\xe2\x96\x88\n')"),
        environ={"PYTHONIOENCODING": "ascii"},
    )
    assert job.finish() == 0
    assert job.of("worker:0") == [r"\u2588"]


def test_progress_fills_no_log(start, config):
    code = """
import sys
for step in range(2000):
    print(f"\\r{step}/2000", end="", file=sys.stderr)
print("\\r2000/2000", file=sys.stderr)
"""
    job = start(config(worker=1), *python(code))
    assert job.finish() == 0
    shown = job.of("worker:0")
    assert shown[-1] == "2000/2000"
    assert len(shown) < 100  # one every few seconds, however slow the machine


def test_progress_stays_on_one_line_of_a_terminal(config):
    fifo = config(worker=1).with_name("fifo")
    os.mkfifo(fifo)
    # print() without a buffer writes the end of the line on its own, and what comes before is progress still.
    code = f"{WHO} os.write(1, b'\\r50%'); open(os.environ['FIFO']).read(); os.write(1, b'\\r100%\\n')"
    terminal, child = pty.openpty()
    with subprocess.Popen(
        [PROGRAM, "launch", config(worker=1), *python(code)],
        stdout=child,
        stderr=child,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "TERM": "xterm", "NO_COLOR": "1", "FIFO": str(fifo)},
    ) as process:
        os.close(child)
        written = b""
        while b"worker:0 | 50%" not in written:
            written += os.read(terminal, 65536)
        fifo.write_text("go on")
        with contextlib.suppress(OSError):  # the end of a terminal
            while data := os.read(terminal, 65536):
                written += data
        os.close(terminal)
    assert process.returncode == 0
    wiped = b"\r\x1b[2K"
    shown = written.partition(b"worker:0 | 50%")[2]
    assert shown.startswith(wiped + b"worker:0 | 100%\r\n")
    assert wiped in written.rpartition(b"50%")[2]


def test_a_closed_terminal_stops_the_tasks_in_order(config, tmp_path):
    code = f"""{WHO}
def stop(*_): open({str(tmp_path / "stopped")!r}, 'w').write('in order'); sys.exit()
signal.signal(signal.SIGHUP, stop); print('ready'); time.sleep(1000)"""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(PROGRAM, [str(PROGRAM), "launch", str(config(worker=1)), *python(code)])  # noqa: S606
    written = b""
    while b"ready" not in written:
        written += os.read(terminal, 65536)
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP
    assert (tmp_path / "stopped").read_text() == "in order"


START_UP_LINE = "I0000 00:00:1795997721.188143   15924 cudart_stub.cc:31] Could not find cuda drivers on your machine"


def test_what_tensorflow_writes_while_it_starts_is_hidden(start, config, monkeypatch):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    job = start(config(worker=1), *python(f"import sys; print({START_UP_LINE!r}, file=sys.stderr); print('trains')"))
    assert job.finish() == 0
    assert job.of("worker:0") == ["trains"]


def test_it_is_among_the_last_lines_of_a_task_that_fails(start, config, monkeypatch):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    job = start(config(worker=1), *python(f"import sys; print({START_UP_LINE!r}, file=sys.stderr); sys.exit(3)"))
    assert job.finish() == 3
    assert job.of("worker:0") == [START_UP_LINE]


def test_who_sets_the_level_of_the_log_sees_it(start, config):
    code = f"import sys; print({START_UP_LINE!r}, file=sys.stderr)"
    job = start(config(worker=1), *python(code), environ={"TF_CPP_MIN_LOG_LEVEL": "0"})
    assert job.finish() == 0
    assert job.of("worker:0") == [START_UP_LINE]


# ---- a task fails ----------------------------------------------------------------------------------------


def test_a_failed_task_gives_its_exit_status_and_its_last_lines(start, config):
    code = f"""{WHO}
def stop(*_): [print('stopped', number) for number in range(20)]; sys.exit()
signal.signal(signal.SIGTERM, stop)
os.chdir(os.environ['FIFOS'])
if kind == 'chief':
    [open(other).close() for other in ('worker', 'ps')]
    [print('line', number) for number in range(40)]
    sys.exit(7)
open(kind, 'w').close()
time.sleep(1000)"""
    path = config(chief=1, worker=1, ps=1)
    for name in ("worker", "ps"):
        os.mkfifo(path.with_name(name))
    job = start(path, *python(code), environ={"FIFOS": str(path.parent)})
    assert job.finish() == 7
    head = job.lines.index("launch   | chief:0 failed with exit status 7. Its last lines:")
    assert job.lines[head + 1 :] == [f"chief:0  | line {number}" for number in range(25, 40)]


def test_last_lines_that_are_in_sight_are_not_repeated(start, config):
    job = start(config(worker=1), *python("raise SystemExit('no such table: flights')"))
    assert job.finish() == 1
    assert job.of("worker:0") == ["no such table: flights"]
    assert job.lines[-1] == "launch   | worker:0 failed with exit status 1. Its last lines are above"


def test_a_mistake_that_all_tasks_make_is_not_repeated_once_more(start, config):
    code = f"{WHO} [print(kind, number) for number in range(40)]; sys.exit('no such table: flights')"
    job = start(config(chief=1, worker=1, ps=1), *python(code))
    assert job.finish() == 1
    assert re.fullmatch(r"launch   \| \S+ failed with exit status 1\. Its last lines are above", job.lines[-1])
    assert all(job.of(name).count("no such table: flights") <= 1 for name in ("chief:0", "worker:0", "ps:0"))


def test_a_task_that_fails_in_silence_is_named(start, config):
    job = start(config(worker=1), *python("raise SystemExit(3)"))
    assert job.finish() == 3
    assert job.lines[-1] == "launch   | worker:0 failed with exit status 3 and wrote nothing"


def test_a_task_ended_by_a_signal_counts_as_shells_count_it(start, config):
    code = f"{WHO} kind == 'ps' and os.kill(os.getpid(), signal.SIGKILL); time.sleep(1000)"
    job = start(config(worker=1, ps=1), *python(code))
    assert job.finish() == 128 + signal.SIGKILL
    assert job.lines[-1] == "launch   | ps:0 was ended by SIGKILL and wrote nothing"


@pytest.mark.parametrize(
    ("statuses", "culprit"),
    [
        ({"ps:0": 3, "chief:0": 7}, "chief:0"),
        ({"chief:0": 7, "ps:0": -9}, "ps:0"),
        ({"worker:1": 3, "worker:0": 7}, "worker:1"),
    ],
    ids=["the chief before those that it informed", "the killed before all", "else the first"],
)
def test_of_several_that_fail_the_cause_is_named(start, config, statuses, culprit):
    """A parameter server that learns that the chief has failed may be gone before the chief."""
    code = f"""{WHO}
name = "{{type}}:{{index}}".format(**json.loads(os.environ['TF_CONFIG'])['task'])
status = {statuses}.get(name) or time.sleep(1000)
open(os.path.join(os.environ['FIFOS'], name)).read()
print('last words of', name)
sys.exit(status) if status > 0 else os.kill(os.getpid(), -status)"""
    path = config(chief=1, worker=2, ps=1)
    first, second = (path.with_name(name) for name in statuses)
    os.mkfifo(first)
    os.mkfifo(second)
    job = start(path, *python(code), environ={"FIFOS": str(path.parent)})
    with second.open("w"):  # it is there, and waits
        first.write_text("fail")
        job.read_until(f"launch   . {first.name} failed")
    status = statuses[culprit]
    assert job.finish() == (status if status > 0 else 128 - status)
    assert re.fullmatch(rf"launch   \| {culprit} .*\. Its last lines are above", job.lines[-1])
    assert job.of(culprit) == [f"last words of {culprit}"]


def test_what_a_task_ends_with_when_told_to_is_no_cause(start, config):
    code = f"""{WHO}
signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))
if kind == 'chief':
    os.write(os.open(os.environ['FIFO'], os.O_WRONLY), b'ready')
    time.sleep(1000)
open(os.environ['FIFO']).read(5)
sys.exit(5)"""
    path = config(chief=1, worker=1)
    fifo = path.with_name("fifo")
    os.mkfifo(fifo)
    job = start(path, *python(code), environ={"FIFO": str(fifo)})
    assert job.finish() == 5
    assert job.lines[-1] == "launch   | worker:0 failed with exit status 5 and wrote nothing"


def test_a_signal_after_a_failure_does_not_hide_it(start, config):
    code = f"{WHO} kind == 'ps' and sys.exit(5); time.sleep(1000)"
    job = start(config(worker=1, ps=1), *python(code))
    job.read_until("ps:0 failed with exit status 5")
    job.process.terminate()
    assert job.finish() == 5
    assert job.lines[-1] == "launch   | ps:0 failed with exit status 5 and wrote nothing"


def test_when_one_fails_all_others_go_with_all_they_started(start, config):
    script = f"""
case "$TF_CONFIG" in *'"type": "worker"'*) read -r line < "$FIFO"; exit 5;; esac
{sys.executable} -c '{FOR_EVER}' & echo "pids $$ $!"; wait; true"""
    fifo = config(worker=1, ps=2).with_name("fifo")
    os.mkfifo(fifo)
    job = start(config(worker=1, ps=2), "--", "sh", "-c", script, environ={"FIFO": str(fifo)})
    pids = [int(pid) for match in job.read_until(r"pids (\d+) (\d+)", times=2) for pid in match.groups()]
    assert all(map(is_alive, pids))
    fifo.write_text("fail\n")
    assert job.finish() == 5
    wait_until_gone(pids)


def test_a_task_that_does_not_heed_sigterm_is_killed(start, config):
    code = f"""{WHO}
if kind == 'ps':
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print('pid', os.getpid())
    time.sleep(1000)
with open(os.environ['FIFO']) as fifo: fifo.read()
sys.exit(5)"""
    fifo = config(worker=1, ps=1).with_name("fifo")
    os.mkfifo(fifo)
    job = start(config(worker=1, ps=1), "--grace-secs", "0.3", *python(code), environ={"FIFO": str(fifo)})
    (found,) = job.read_until(r"pid (\d+)")
    fifo.write_text("fail")
    assert job.finish() == 5
    assert job.of("launch")[2:] == [
        "worker:0 failed with exit status 5",
        "still running, so stopped: ps:0",
        "not ended within 0.3 s: killed ps:0",
        "worker:0 failed with exit status 5 and wrote nothing",
    ]
    wait_until_gone([int(found[1])])


# ---- signals ---------------------------------------------------------------------------------------------

HEEDS = f"""{WHO}
def stop(number, _): print('got', signal.Signals(number).name); sys.exit()
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP): signal.signal(number, stop)
print('ready', os.getpid()); time.sleep(1000)"""
HEEDS_NOT = f"""{WHO}
for number in (signal.SIGINT, signal.SIGTERM): signal.signal(number, signal.SIG_IGN)
print('ready', os.getpid()); time.sleep(1000)"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_reaches_every_task(start, config, number):
    job = start(config(worker=2, ps=1), *python(HEEDS))
    pids = [int(match[1]) for match in job.read_until(r"ready (\d+)", times=3)]
    job.process.send_signal(number)
    assert job.finish() == 128 + number
    assert all(job.of(name)[-1] == f"got {number.name}" for name in ("worker:0", "worker:1", "ps:0"))
    wait_until_gone(pids)


def test_a_second_signal_kills(start, config):
    job = start(config(worker=1, ps=1), "--grace-secs", "1000", *python(HEEDS_NOT))
    pids = [int(match[1]) for match in job.read_until(r"ready (\d+)", times=2)]
    job.process.send_signal(signal.SIGINT)
    job.read_until("SIGINT passed on to worker:0, and to the others when it has ended; a second one kills all tasks")
    time.sleep(SAME_SIGNAL_SECS)  # sooner after the first it does not count
    job.process.send_signal(signal.SIGINT)
    assert job.finish() == 128 + signal.SIGINT
    assert job.lines[-1] == "launch   | second SIGINT: killed worker:0, ps:0"
    wait_until_gone(pids)


def test_tasks_that_do_not_heed_a_signal_are_killed_after_the_grace(start, config):
    secs = ["--last-export-secs", "0.2", "--grace-secs", "0.1"]
    job = start(config(worker=1, ps=1), *secs, *python(HEEDS_NOT))
    job.read_until("ready", times=2)
    job.process.terminate()
    assert job.finish() == 128 + signal.SIGTERM
    assert job.of("launch")[-2:] == [
        "not ended within 0.3 s: killed worker:0",
        "not ended within 0.1 s: killed ps:0",
    ]


def test_the_chief_ends_before_the_tasks_that_it_needs_for_its_last_export(start, config):
    code = f"""{WHO}
def stop(*_): kind == 'chief' and open(os.environ['FIFO']).read(); print('stopped'); sys.exit()
signal.signal(signal.SIGTERM, stop)
print('ready'); time.sleep(1000)"""
    path = config(chief=1, worker=1, ps=2)
    fifo = path.with_name("fifo")
    os.mkfifo(fifo)
    job = start(path, "--grace-secs", "0.1", *python(code), environ={"FIFO": str(fifo)})
    job.read_until("ready", times=4)
    job.process.terminate()
    job.read_until("SIGTERM passed on to chief:0, and to the others when it has ended; a second one kills all tasks")
    fifo.write_text("the last export is done")
    assert job.finish() == 128 + signal.SIGTERM
    names = [line.split(" ")[0] for line in job.lines if line.endswith("stopped")]
    assert names[0] == "chief:0"
    assert sorted(names) == ["chief:0", "ps:0", "ps:1", "worker:0"]


def test_what_asks_for_an_export_reaches_the_chief_alone_and_ends_nobody(start, config):
    script = f"""{sys.executable} -c "{WHO}
kind == 'chief' or sys.exit()
print('waits'); open(os.environ['FIFO']).read()
signal.signal(signal.SIGUSR1, lambda *_: (print('exports'), sys.exit()))
print('trains'); time.sleep(1000)"; true"""
    path = config(chief=1, worker=1)
    fifo = path.with_name("fifo")
    os.mkfifo(fifo)
    job = start(path, "--", "sh", "-c", script, environ={"FIFO": str(fifo)})
    job.read_until("waits")
    job.process.send_signal(signal.SIGUSR1)
    job.read_until("SIGUSR1 not passed on: chief:0 does not handle it at this moment and would end")
    fifo.write_text("go on")
    job.read_until("trains")
    job.process.send_signal(signal.SIGUSR1)
    assert job.finish() == 0
    assert "SIGUSR1 passed on to chief:0" in job.of("launch")
    assert job.of("chief:0")[-1] == "exports"


def test_where_the_chief_is_elsewhere_all_have_the_time_of_its_last_export(start, config):
    path = config(ps=1)
    path.write_text(json.dumps({"cluster": {"ps": ["127.0.0.1:42001"], "worker": ["192.0.2.7:42001"]}}))
    code = f"""{WHO}
def stop(*_): open(os.environ['FIFO']).read(); print('stopped'); sys.exit()
signal.signal(signal.SIGTERM, stop)
print('ready'); time.sleep(1000)"""
    fifo = path.with_name("fifo")
    os.mkfifo(fifo)
    job = start(path, "--grace-secs", "0", *python(code), environ={"FIFO": str(fifo)})
    job.read_until("ready")
    job.process.send_signal(signal.SIGUSR1)
    job.read_until("SIGUSR1 is for worker:0, which runs on another machine")
    job.process.terminate()
    job.read_until("SIGTERM passed on to all tasks; a second one kills all tasks")
    fifo.write_text("the last export is done")
    assert job.finish() == 128 + signal.SIGTERM
    assert job.of("ps:0")[-1] == "stopped"


def test_a_signal_sent_twice_at_once_is_one_signal(start, config, tmp_path):
    """``timeout`` signals the launcher and then the launcher's group."""
    script = tmp_path / "train.py"
    script.write_text(
        f"{WHO}\nimport threading\nend = threading.Event()\n"
        "signal.signal(signal.SIGTERM, lambda *_: end.set())\n"
        "print('ready', flush=True)\nend.wait()\n"
        "print('writing a checkpoint'); time.sleep(0.3); print('done')\n"
    )
    job = start(config(worker=1), "--grace-secs", "60", "--", sys.executable, script)
    job.read_until("ready")
    job.process.terminate()
    job.read_until("SIGTERM passed on")
    job.process.terminate()
    assert job.finish() == 128 + signal.SIGTERM
    assert job.of("worker:0")[-1] == "done"


def test_a_program_behind_a_shell_has_its_time_to_end(start, config, tmp_path):
    """The shell is gone at once; what it started is not killed as long as the grace lasts."""
    script = tmp_path / "train.py"
    script.write_text(
        f"{WHO}\nlog = open({str(tmp_path / 'log')!r}, 'w')\n"
        "def stop(*_): time.sleep(0.5); log.write('saved'); sys.exit()\n"
        "signal.signal(signal.SIGTERM, stop); open(os.environ['FIFO'], 'w').close(); time.sleep(1000)\n"
    )
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    command = f"{sys.executable} {script} >{os.devnull} 2>&1; true"
    job = start(config(worker=1), "--grace-secs", "60", "--", "sh", "-c", command, environ={"FIFO": str(fifo)})
    fifo.read_text()
    job.process.terminate()
    assert job.finish() == 128 + signal.SIGTERM
    assert (tmp_path / "log").read_text() == "saved"


def test_under_nohup_the_job_outlives_its_terminal(start, config):
    code = f"{WHO} print('ready'); open(os.environ['FIFO']).read(); print('done')"
    fifo = config(worker=1).with_name("fifo")
    os.mkfifo(fifo)
    job = start(config(worker=1), *python(code), environ={"FIFO": str(fifo)}, nohup=True)
    job.read_until("ready")
    job.process.send_signal(signal.SIGHUP)
    fifo.write_text("go on")
    assert job.finish() == 0
    assert job.of("worker:0") == ["ready", "done"]


def test_nobody_outlives_a_killed_launcher(start, config):
    job = start(config(worker=2, ps=2), *python(HEEDS_NOT))
    pids = [int(match[1]) for match in job.read_until(r"ready (\d+)", times=4)]
    assert all(map(is_alive, pids))
    job.process.kill()
    wait_until_gone(pids)


def test_nobody_outlives_a_reader_that_has_had_enough(start, config):
    """As in ``autodist-saved launch ... | head``."""
    code = f"{WHO} print('ready', os.getpid()); [print(time.sleep(0.01)) for _ in range(100000)]"
    job = start(config(worker=1, ps=1), *python(code))
    pids = [int(match[1]) for match in job.read_until(r"ready (\d+)", times=2)]
    job.process.stdout.close()
    assert job.process.wait(PATIENCE_SECS) != 0
    wait_until_gone(pids)


# ---- the end of a job ------------------------------------------------------------------------------------


def test_parameter_servers_that_never_return_are_stopped_when_the_work_is_done(start, config):
    code = f"{WHO} print('pid', os.getpid()); kind == 'ps' and time.sleep(1000)"
    job = start(config(chief=1, worker=1, ps=2), "--grace-secs", "0.3", *python(code))
    pids = [int(match[1]) for match in job.read_until(r"pid (\d+)", times=4)]
    assert job.finish() == 0
    assert job.of("launch")[2:] == ["the work is done; still running, so stopped: ps:0, ps:1"]
    wait_until_gone(pids)


def test_parameter_servers_that_return_in_time_are_left_alone(start, config):
    code = f"""{WHO}
if kind == 'ps':
    with open(os.environ['FIFO']) as fifo: fifo.read()
    print('returned')
else:
    os.write(os.open(os.environ['FIFO'], os.O_WRONLY), b'over')"""
    fifo = config(worker=1, ps=1).with_name("fifo")
    os.mkfifo(fifo)
    job = start(config(worker=1, ps=1), "--grace-secs", "60", *python(code), environ={"FIFO": str(fifo)})
    assert job.finish() == 0
    assert job.of("ps:0") == ["returned"]
    assert len(job.of("launch")) == 2


def test_a_parameter_server_that_fails_at_the_end_fails_the_job(start, config):
    code = f"{WHO} kind == 'ps' and (time.sleep(0.3), sys.exit(9))"
    job = start(config(worker=1, ps=1), "--grace-secs", "60", *python(code))
    assert job.finish() == 9


def test_a_machine_with_parameter_servers_only_waits_for_them(start, config):
    path = config(ps=2)
    path.write_text(
        json.dumps({"cluster": {"ps": ["127.0.0.1:42001", "127.0.0.1:42002"], "worker": ["192.0.2.7:42001"]}})
    )
    code = f"{WHO} time.sleep(0.5 * json.loads(os.environ['TF_CONFIG'])['task']['index']); print('returned')"
    job = start(path, "--grace-secs", "0", *python(code))
    assert job.finish() == 0
    assert job.of("ps:0") == job.of("ps:1") == ["returned"]
    assert job.of("launch") == [
        "starting ps:0, ps:1; 1 more run on other machines",
        "to watch the job: autodist-saved status 192.0.2.7:42002",
    ]


# ---- bad input -------------------------------------------------------------------------------------------


def test_a_cluster_of_other_machines_is_refused_by_name():
    with pytest.raises(LaunchError) as caught:
        launch(Cluster({"worker": ("192.0.2.7:4000",), "ps": ("192.0.2.8:4000",)}), ["true"])
    message = str(caught.value)
    assert "CONFIG: its tasks run on 192.0.2.7, 192.0.2.8, and this machine is " in message
    assert os.uname().nodename in message
    assert "fix: run the command on those machines" in message


def test_a_program_that_is_not_there_is_refused_and_nothing_started():
    with pytest.raises(LaunchError, match=r"'pyhton' cannot be run: no directory in PATH holds such a program"):
        launch(Cluster.local(), ["pyhton", "train.py"])
    with pytest.raises(LaunchError, match=r"'\./nowhere/train' cannot be run: there is no such file"):
        launch(Cluster.local(), ["./nowhere/train"])


def test_a_script_that_is_not_executable_is_refused_with_the_remedy(tmp_path):
    script = tmp_path / "train.py"
    script.write_text("print()")
    with pytest.raises(LaunchError, match=r"(?s)train.py' is not executable.*python .*train\.py"):
        launch(Cluster.local(), [str(script)])


def test_a_script_without_interpreter_is_refused(tmp_path):
    script = tmp_path / "train"
    script.write_text("echo")
    script.chmod(0o755)
    with pytest.raises(LaunchError, match=r"(?s)cannot be run: Exec format error.*#!/bin/sh"):
        launch(Cluster.local(), [str(script)])


def test_all_problems_of_a_launch_come_at_once():
    with pytest.raises(LaunchError) as caught:
        launch(Cluster({"worker": ("192.0.2.7:4000",)}), [])
    assert [problem.place for problem in caught.value.problems] == ["CONFIG", "COMMAND"]


def test_the_program_is_looked_up_where_the_tasks_would_find_it(tmp_path):
    with pytest.raises(LaunchError, match="no directory in PATH"):
        launch(Cluster.local(), ["sh"], environ={"PATH": str(tmp_path)})


def test_the_callers_signal_handlers_come_back():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)]
    assert launch(Cluster.local(ps=0), ["true"]) == 0
    after = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)]
    assert after == before
